package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// TestCallsAreBounded has as many calls wait for a controller as may, and one
// more, which must not take anything of what the others have.
func TestCallsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{Self: 1, MaxCalls: 3, Leader: func() cluster.BrokerID { return cluster.NoBroker }})
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := c.Propose(ctx, cluster.DeleteTopic{Name: "x"})
				ended <- err
			}()
		}
		synctest.Wait()
		short, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		_, err := c.Propose(short, cluster.DeleteTopic{Name: "x"})
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "too many calls") {
			t.Errorf("one call more: error %v, want %v, as there are too many", err, ErrUnreachable)
		}
		cancel()
		for range 3 {
			if err := <-ended; !errors.Is(err, ErrUnreachable) {
				t.Errorf("a call that waited ended with %v", err)
			}
		}
		if len(c.calls) != 0 {
			t.Errorf("%d calls are still under way", len(c.calls))
		}
	})
}
