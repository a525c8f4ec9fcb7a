package bench

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestRecorderKeepsThreeTimesApart(t *testing.T) {
	t.Parallel()
	due := time.Unix(1000, 0)
	sent, now := due.Add(2*time.Millisecond), due.Add(10*time.Millisecond)
	r := newRecorder()
	for range 2 {
		r.offering(due, sent)
	}
	r.succeeded(due, sent, now)
	r.failedAs("NOT_ENOUGH_REPLICAS", due, now)
	for _, tt := range []struct {
		name string
		got  *histogram
		want float64 // microseconds
		n    int64
	}{
		{name: "response", got: r.response, want: 10_000, n: 1},
		{name: "service", got: r.service, want: 8_000, n: 1},
		{name: "lateness", got: r.lateness, want: 2_000, n: 2},
		{name: "failure", got: r.failure, want: 10_000, n: 1},
	} {
		q := tt.got.quantiles()
		if q.Count != tt.n || q.Max == nil || *q.Max < tt.want || *q.Max > tt.want*1.001 {
			t.Errorf("%s: %d samples, max %v; want %d and %v", tt.name, q.Count, deref(q.Max), tt.n, tt.want)
		}
	}
	if r.errors["NOT_ENOUGH_REPLICAS"] != 1 {
		t.Errorf("errors are %v", r.errors)
	}
}

func TestDrainWaitsForEveryRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		began := time.Now()
		for i := range 3 {
			r.offering(began, began)
			time.AfterFunc(time.Duration(i+1)*time.Second, func() { r.succeeded(began, began, time.Now()) })
		}
		r.drain(t.Context(), FailureAbandoned)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("drained after %s, want 3s", took)
		}
		if got := r.tally(); got.Acked != 3 || got.Failed != 0 {
			t.Errorf("got %+v, want 3 acked", got)
		}
	})
}

func TestDrainAbandonsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		began := time.Now()
		for range 3 {
			r.offering(began, began)
		}
		r.succeeded(began, began, began)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r.drain(ctx, FailureAbandoned)
		r.succeeded(began, began, time.Now()) // too late
		r.failedAs("LATE", began, time.Now())
		got := r.tally()
		if got.Offered != 3 || got.Acked != 1 || got.Failed != 2 || r.failures()[FailureAbandoned] != 2 {
			t.Errorf("got %+v with %v, want 1 acked and 2 abandoned", got, r.failures())
		}
	})
}

func TestGraceOutlivesItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tests := []struct {
			name        string
			cancelAfter time.Duration
			want        time.Duration
		}{
			{name: "never cancelled", cancelAfter: time.Hour, want: time.Minute},
			{name: "cancelled before", cancelAfter: 0, want: 3 * time.Second},
			{name: "cancelled meanwhile", cancelAfter: 10 * time.Second, want: 13 * time.Second},
		}
		for _, tt := range tests {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(tt.cancelAfter, cancel)
			wait(0)
			began := time.Now()
			rest, stop := grace(ctx, time.Minute, 3*time.Second)
			<-rest.Done()
			if took := time.Since(began); took != tt.want {
				t.Errorf("%s: ended after %s, want %s", tt.name, took, tt.want)
			}
			stop()
			cancel()
		}
	})
}
