package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chronik-project/chronik/internal/trace"
)

func TestServeTraces(t *testing.T) {
	t.Parallel()
	b := &broker{c: Config{NodeID: 4}, traces: trace.NewRing(16)}
	for i := range 10 {
		b.traces.Add(&trace.Batch{Topic: "orders", Base: int64(i)})
	}
	tests := []struct {
		query  string
		status int
		count  int
		next   uint64
	}{
		{query: "", status: http.StatusOK, count: 10, next: 10},
		{query: "?since=7", status: http.StatusOK, count: 3, next: 10},
		{query: "?limit=4&since=2", status: http.StatusOK, count: 4, next: 6},
		{query: "?every=5", status: http.StatusOK, count: 2, next: 10},
		{query: "?topic=others", status: http.StatusOK, next: 10},
		{query: "?limit=99999999999", status: http.StatusOK, count: 10, next: 10},
		{query: "?since=x", status: http.StatusBadRequest},
		{query: "?limit=-1", status: http.StatusBadRequest},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			b.serveTraces(w, httptest.NewRequest(http.MethodGet, trace.Path+tt.query, nil))
			if w.Code != tt.status {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			if tt.status != http.StatusOK {
				return
			}
			var got trace.Report
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.Schema != trace.Schema || got.Broker != 4 || got.Capacity != 16 || len(got.Traces) != tt.count || got.Next != tt.next {
				t.Errorf("got %+v", got)
			}
		})
	}
}
