// Package pause waits, for a while or until nobody wants to wait any longer.
package pause

import (
	"context"
	"time"
)

// For waits for d. It reports false, at once, when ctx ends before that.
func For(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
