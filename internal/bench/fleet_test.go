package bench

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// startWorker serves until the test ends.
func startWorker(t *testing.T, w *Worker) (address string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.Logger = slog.New(slog.DiscardHandler)
	stop := background(t.Context(), func(ctx context.Context) {
		if err := w.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return l.Addr().String()
}

// workersOf starts n workers for a fake cluster.
func workersOf(t *testing.T, target Target, n int) []string {
	t.Helper()
	id := clusterID(t, target)
	var addresses []string
	for range n {
		addresses = append(addresses, startWorker(t, &Worker{Target: target, Cluster: id, Version: "test"}))
	}
	return addresses
}

func clusterID(t *testing.T, target Target) string {
	t.Helper()
	id, err := ClusterID(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestWorkersShareTheLoad(t *testing.T) {
	t.Parallel()
	_, target := fakeCluster(t, 3)
	c := quick(target)
	c.Arms, c.latenessFloor = []Arm{AcksAll, AcksLeader}, time.Hour
	report, err := RunWorkers(t.Context(), c, workersOf(t, target, 3))
	if err != nil {
		t.Fatal(err)
	}
	for _, arm := range report.Arms {
		const want = 80 // 500/s for half of 320 ms, over all workers
		if arm.Offered < want-6 || arm.Offered > want+6 || arm.Errors != 0 || arm.Response.Count != arm.Offered || *arm.Acked != arm.Offered {
			t.Errorf("acks=%s: %+v, want about %d records", arm.Acks, arm, want)
		}
		n := int64(0)
		for i := range report.Intervals {
			if iv := &report.Intervals[i]; iv.Acks == arm.Acks {
				n += iv.Response.TotalCount()
			}
		}
		if n != arm.Response.Count {
			t.Errorf("acks=%s: the intervals have %d records, want %d", arm.Acks, n, arm.Response.Count)
		}
	}
	// 4 turns of 2 arms: what began together is one interval.
	if len(report.Intervals) != 8 || len(report.Blocks) != 8 {
		t.Errorf("%d intervals and %d turns, want 8 each", len(report.Intervals), len(report.Blocks))
	}
	if v := report.Verification; !v.OK || v.ReadBack != report.Arms[0].Offered+report.Arms[1].Offered+report.Warmup.Records {
		t.Errorf("verification is %+v", v)
	}
	for _, w := range report.Workers {
		if w.Lost != nil || w.Version != "test" || w.Lateness.Count == 0 || w.ClockMicros <= 0 {
			t.Errorf("worker: %+v", w)
		}
	}
	if len(report.Workers) != 3 || len(topicsOf(t, target)) != 0 {
		t.Errorf("%d workers; left behind: %v", len(report.Workers), topicsOf(t, target))
	}
}

// A worker that goes away takes its share of the records with it: nothing that is
// left is the run that was asked for.
func TestALostWorkerMakesTheRunInvalid(t *testing.T) {
	t.Parallel()
	_, target := fakeCluster(t, 1)
	id := clusterID(t, target)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := background(t.Context(), func(ctx context.Context) { half(ctx, l, id) })
	defer stop()
	c := quick(target)
	c.Arms, c.latenessFloor = []Arm{AcksAll}, time.Hour
	report, err := RunWorkers(t.Context(), c, append(workersOf(t, target, 1), l.Addr().String()))
	if !errors.Is(err, ErrWorkerLost) || report == nil {
		t.Fatalf("%v, want a report beside %v", err, ErrWorkerLost)
	}
	if g := report.Generator; g.Valid || !strings.Contains(*g.Reason, l.Addr().String()) {
		t.Errorf("generator is %+v, want the name of the worker", g)
	}
	if v := report.Verification; v.OK || v.Complete {
		t.Errorf("verification is %+v", v)
	}
}

// half greets as a worker does, takes its plan, and hangs up.
func half(ctx context.Context, l net.Listener, id string) {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	peer := link{conn: conn}
	for {
		m, err := peer.receive(helloLimit, maxMessage)
		switch {
		case err != nil || m.Kind == sayPlan:
			return
		case m.Kind == sayHello:
			_ = peer.send(message{Kind: sayHello, Protocol: workerProtocol, Cluster: id})
		default:
			_ = peer.send(message{Kind: sayClock})
		}
	}
}

func TestWorkersRefuse(t *testing.T) {
	t.Parallel()
	dial := func(t *testing.T, address string) link {
		t.Helper()
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return link{conn: conn}
	}
	t.Run("another protocol", func(t *testing.T) {
		t.Parallel()
		peer := dial(t, startWorker(t, &Worker{Version: "1.2"}))
		if err := peer.send(message{Kind: sayHello, Protocol: 99, Version: "9.9"}); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.expect(sayHello); err == nil || !strings.Contains(err.Error(), "speaks protocol 1") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a second coordinator", func(t *testing.T) {
		t.Parallel()
		address := startWorker(t, &Worker{Cluster: "x"})
		first, err := join(t.Context(), address, "test", "x")
		if err != nil {
			t.Fatal(err)
		}
		defer closeMembers([]*member{first})
		if _, err := join(t.Context(), address, "test", "x"); err == nil || !strings.Contains(err.Error(), "busy") {
			t.Errorf("%v", err)
		}
	})
	t.Run("another cluster", func(t *testing.T) {
		t.Parallel()
		if _, err := join(t.Context(), startWorker(t, &Worker{Cluster: "x"}), "test", "y"); !errors.Is(err, ErrConfig) {
			t.Errorf("%v", err)
		}
	})
	t.Run("what is no message", func(t *testing.T) {
		t.Parallel()
		peer := dial(t, startWorker(t, &Worker{}))
		if _, err := peer.conn.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.receive(helloLimit, maxHelloMessage); err == nil {
			t.Error("it was answered")
		}
	})
}

func TestPartitionsAreShared(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		partitions     int32
		index, workers int
		want           []int32
	}{
		{partitions: 6, index: 0, workers: 2, want: []int32{0, 2, 4}},
		{partitions: 6, index: 3, workers: 4, want: []int32{3}},
		{partitions: 2, index: 3, workers: 4, want: []int32{1}},
	} {
		if got := ownPartitions(tt.partitions, tt.index, tt.workers); !slices.Equal(got, tt.want) {
			t.Errorf("worker %d of %d has %v of %d partitions, want %v", tt.index, tt.workers, got, tt.partitions, tt.want)
		}
	}
}

// Uniform records of all workers are spaced evenly, as those of one would be.
func TestWorkersTakeTurns(t *testing.T) {
	t.Parallel()
	c := Config{Rate: 100}.withDefaults()
	var due []time.Duration
	for i := range 4 {
		share := c.planFor("t", i, 4).config(Target{})
		s := NewSchedule(share.Arrival, share.Rate, share.phase(), share.Seed)
		for range 3 {
			due = append(due, s.Peek())
			s.Advance()
		}
	}
	slices.Sort(due)
	for i, at := range due {
		if want := time.Duration(i) * 10 * time.Millisecond; (at - want).Abs() > time.Microsecond {
			t.Errorf("record %d is due at %s, want %s", i, at, want)
		}
	}
}
