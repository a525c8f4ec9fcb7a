package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/meta"
	"github.com/chronik-project/chronik/internal/peer"
)

// TestAStuckBrokerEnds: a part waits for a disk that never answers. The broker
// ends all the same, with its ports closed and the cause in its error.
func TestAStuckBrokerEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := peer.NewMemNetwork()
		defer network.Close()
		host := network.Host("b1")
		var ports listeners
		var err error
		if ports.client, err = host.Listen("b1:9092"); err != nil {
			t.Fatal(err)
		}
		if ports.peer, err = host.Listen("b1:9192"); err != nil {
			t.Fatal(err)
		}
		b := &broker{log: slog.New(slog.DiscardHandler), ports: ports}
		disk := make(chan struct{})
		s := newStack()
		s.start(t.Context(), "the metadata log", func(context.Context) error {
			<-disk
			return nil
		})
		start := time.Now()
		err = b.abandon(meta.ErrStuck, s)
		if took := time.Since(start); took != abandonAfter {
			t.Errorf("ended after %s, want %s", took, abandonAfter)
		}
		if !errors.Is(err, meta.ErrStuck) || !errors.Is(err, errAbandoned) {
			t.Errorf("error %v, want %v and %v", err, meta.ErrStuck, errAbandoned)
		}
		for _, ln := range []net.Listener{ports.client, ports.peer} {
			if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("port %s: %v, want it closed", ln.Addr(), err)
			}
		}
		close(disk)
	})
}
