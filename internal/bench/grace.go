package bench

import (
	"context"
	"time"
)

const (
	// drainLimit bounds the wait for outstanding records. The client's own
	// timeouts end it earlier.
	drainLimit = 2 * time.Minute
	// drainGrace is what outstanding records get once the run is cancelled:
	// enough for a healthy cluster to answer, and nobody waits long for Ctrl-C.
	drainGrace = 3 * time.Second
	// readGrace is what reading back gets once the run is cancelled.
	readGrace = 10 * time.Second
)

// grace returns a context for work that a cancelled ctx should not cut off at
// once: it ends after limit, or the given time after ctx does.
func grace(ctx context.Context, limit, after time.Duration) (context.Context, context.CancelFunc) {
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(after, cancel) })
	return rest, func() { stop(); cancel() }
}
