package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/peer"
	"github.com/chronik-project/chronik/internal/status"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// TestHTTPEndsWithItsListener: a bubble does not end while a goroutine is left.
func TestHTTPEndsWithItsListener(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := peer.NewMemNetwork().Host("a")
		ln, err := network.Listen("a:1")
		if err != nil {
			t.Fatal(err)
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		metrics := prometheus.NewCounter(prometheus.CounterOpts{Name: "x"})
		if err := serveHTTP(context.WithoutCancel(t.Context()), ln, health{}, metrics, http.NotFound, slog.New(slog.DiscardHandler)); err == nil {
			t.Error("serves on a closed listener")
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want int
	}{{nil, http.StatusOK}, {http.ErrAbortHandler, http.StatusServiceUnavailable}} {
		w := httptest.NewRecorder()
		check(func() error { return tt.err })(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if w.Code != tt.want {
			t.Errorf("error %v: status %d, want %d", tt.err, w.Code, tt.want)
		}
	}
}

// TestMetricsBeforeMetadata gathers when replicas are recovered but not yet
// named, of two topics. What appends wait for is shown from the start.
func TestMetricsBeforeMetadata(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	for range 2 {
		log, err := wal.Open(wal.Options{FS: disk, Dir: "data/wal", FileBytes: 1 << 20, FirstFileBytes: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		table := partition.NewTable(partition.Options{Self: 1, FS: disk, Dir: "data", WAL: log})
		if _, err := table.Recover(); err != nil {
			t.Fatal(err)
		}
		registry := prometheus.NewRegistry()
		registry.MustRegister(&metrics{
			table: table, wal: log, links: func() []status.Link { return nil }, ready: func() error { return nil },
		})
		families, err := registry.Gather()
		if err != nil {
			t.Error(err)
		}
		shown := map[string]bool{}
		for _, f := range families {
			shown[f.GetName()] = true
		}
		for _, name := range []string{"chronik_wal_unreleased_bytes", "chronik_append_room_wait_seconds"} {
			if !shown[name] {
				t.Errorf("%s is not shown", name)
			}
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			dir := "data/topics/" + cluster.UUID{byte(i + 1)}.String() + "/0"
			if err := vfs.MkdirAllSync(disk, dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}
