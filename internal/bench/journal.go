package bench

import (
	"sync"
	"time"
)

// maxJournal bounds the records of one producer that wait to be joined; what
// comes beyond is not explained, only measured.
const maxJournal = 1 << 19

// sample is one acked record as the client saw it.
type sample struct {
	partition        int32
	offset           int64
	due, sent, acked time.Time
}

// exchange is one batch in a produce request, as it passed the client's socket.
type exchange struct {
	partition   int32
	base        int64     // offset that the response gave to its first record
	wrote, read time.Time // the write of the request began; the response was there
}

// journal keeps what one producer saw, to be joined with what brokers say. The
// zero value keeps nothing until it is opened. A nil journal never does.
type journal struct {
	mu        sync.Mutex
	open      bool       // guarded by mu
	samples   []sample   // guarded by mu
	exchanges []exchange // guarded by mu
}

func (j *journal) record(s sample) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open && len(j.samples) < maxJournal {
		j.samples = append(j.samples, s)
	}
}

func (j *journal) passed(e exchange) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open && len(j.exchanges) < maxJournal {
		j.exchanges = append(j.exchanges, e)
	}
}

// keep opens or closes the journal.
func (j *journal) keep(open bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open = open
}

// take hands over what is in the journal and empties it, except for samples
// acked after until: what brokers say of them may not be known yet.
func (j *journal) take(until time.Time) (samples []sample, exchanges []exchange) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var later []sample
	for _, s := range j.samples {
		if s.acked.After(until) {
			later = append(later, s)
		} else {
			samples = append(samples, s)
		}
	}
	exchanges = j.exchanges
	j.samples, j.exchanges = later, nil
	return samples, exchanges
}
