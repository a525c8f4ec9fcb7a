package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/chronik-project/chronik/internal/trace"
)

// serveTraces answers GET /v1/trace/produce with a [trace.Report].
func (b *broker) serveTraces(w http.ResponseWriter, r *http.Request) {
	q, err := traceQuery(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// The client may be gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(b.traces.Report(int32(b.c.NodeID), q))
}

func traceQuery(v url.Values) (q trace.Query, err error) {
	number := func(name string, missing uint64) uint64 {
		text := v.Get(name)
		if text == "" || err != nil {
			return missing
		}
		var n uint64
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			err = fmt.Errorf("%s=%q is not a number", name, text)
		}
		return n
	}
	q.Since = number("since", 0)
	q.Every = number("every", 1)
	q.Limit = int(min(number("limit", trace.DefaultLimit), trace.MaxLimit))
	q.Topic = v.Get("topic")
	return q, err
}
