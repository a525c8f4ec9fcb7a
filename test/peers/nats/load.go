package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"
)

// lateLimit and lateShare are those of chronik bench: a generator that is later
// than both at p99 measured itself.
const (
	lateLimit = time.Millisecond
	lateShare = 0.1
)

// times is what is kept of one kind of time, in microseconds.
type times struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// result is what load and rush print.
type result struct {
	Offered   int     `json:"offered"` // of the measured time
	Acked     int     `json:"acked"`
	All       int     `json:"all"` // acked, those of the warm-up too
	Response  times   `json:"response_us"`
	Lateness  times   `json:"lateness_us"`
	PerSecond float64 `json:"records_per_second"`
	// LongestGap is the longest time between two acks, or from the last ack to the
	// end of the load.
	LongestGap float64 `json:"longest_gap_ms"`
	Valid      bool    `json:"valid"`
	Error      string  `json:"error,omitempty"` // the first
}

// flight is a record that was sent.
type flight struct{ due, sent time.Time }

// publisher sends records with replies to one inbox, and takes note of acks.
type publisher struct {
	conn    *nats.Conn
	options options
	inbox   string
	payload []byte
	from    time.Time // records due before are not measured
	settled chan struct{}
	room    chan struct{} // nil in an open loop

	mu       sync.Mutex
	flights  []flight                // guarded by mu; by number
	response *hdrhistogram.Histogram // guarded by mu
	lateness *hdrhistogram.Histogram // guarded by mu
	result   result                  // guarded by mu
	answered int                     // guarded by mu
	expected int                     // guarded by mu; -1 until all were sent
	last     time.Time               // guarded by mu; the last ack
	gap      time.Duration           // guarded by mu
}

func newPublisher(conn *nats.Conn, o options) (*publisher, error) {
	p := &publisher{
		conn: conn, options: o, inbox: nats.NewInbox(), payload: make([]byte, o.size),
		settled: make(chan struct{}), expected: -1,
		response: hdrhistogram.New(1, int64(10*time.Minute), 3), lateness: hdrhistogram.New(1, int64(10*time.Minute), 3),
	}
	if _, err := rand.Read(p.payload); err != nil {
		return nil, err
	}
	sub, err := conn.Subscribe(p.inbox+".*", p.ack)
	if err != nil {
		return nil, err
	}
	return p, sub.SetPendingLimits(-1, -1)
}

func (p *publisher) send(due time.Time) error {
	p.mu.Lock()
	n := len(p.flights)
	now := time.Now()
	p.flights = append(p.flights, flight{due, now})
	if !due.Before(p.from) {
		p.result.Offered++
		_ = p.lateness.RecordValue(int64(max(now.Sub(due), 0))) // the bound is ten minutes
	}
	p.mu.Unlock()
	return p.conn.PublishMsg(&nats.Msg{
		Subject: p.options.subject(n % p.options.streams), Reply: p.inbox + "." + strconv.Itoa(n), Data: p.payload,
	})
}

// ack is called for every reply, by one goroutine of the client.
func (p *publisher) ack(m *nats.Msg) {
	now := time.Now()
	n, err := strconv.Atoi(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
	if err == nil {
		err = refusal(m)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered++
	if err != nil {
		if p.result.Error == "" {
			p.result.Error = err.Error()
		}
	} else {
		p.acked(p.flights[n], now)
	}
	if p.answered == p.expected {
		close(p.settled)
	}
	if p.room != nil {
		<-p.room
	}
}

// acked is called with mu held.
func (p *publisher) acked(f flight, now time.Time) {
	p.result.All++
	if !p.last.IsZero() {
		p.gap = max(p.gap, now.Sub(p.last))
	}
	p.last = now
	if !f.due.Before(p.from) {
		p.result.Acked++
		_ = p.response.RecordValue(int64(max(now.Sub(f.due), 0))) // the bound is ten minutes
	}
}

// refusal is the error in an answer that is no ack.
func refusal(m *nats.Msg) error {
	if m.Header.Get("Status") != "" {
		return fmt.Errorf("status %s", m.Header.Get("Status"))
	}
	if !bytes.Contains(m.Data, []byte(`"error"`)) {
		return nil
	}
	var answer struct {
		Error struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return err
	}
	return errors.New(answer.Error.Description)
}

// finish waits for what is outstanding.
func (p *publisher) finish(began time.Time) (result, error) {
	p.mu.Lock()
	p.expected = len(p.flights)
	ended := time.Now()
	if p.answered == p.expected {
		close(p.settled)
	}
	p.mu.Unlock()
	select {
	case <-p.settled:
	case <-time.After(p.options.drain):
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.result
	p.gap = max(p.gap, ended.Sub(p.last))
	r.Response, r.Lateness = timesOf(p.response), timesOf(p.lateness)
	r.LongestGap = float64(p.gap) / float64(time.Millisecond)
	if took := p.last.Sub(began).Seconds(); took > 0 {
		r.PerSecond = float64(r.Acked) / took
	}
	late := max(float64(lateLimit.Microseconds()), lateShare*r.Response.P99)
	r.Valid = r.Acked > 0 && r.Lateness.P99 <= late
	return r, p.percentiles()
}

func (p *publisher) percentiles() error {
	if p.options.hgrm == "" {
		return nil
	}
	var text bytes.Buffer
	if _, err := p.response.PercentilesPrint(&text, 5, float64(time.Millisecond)); err != nil {
		return err
	}
	return os.WriteFile(p.options.hgrm, text.Bytes(), 0o600)
}

func timesOf(h *hdrhistogram.Histogram) times {
	at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	return times{P50: at(50), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1000}
}

// load sends records at fixed times, whatever the cluster does.
func load(_ context.Context, conn *nats.Conn, o options) (any, error) {
	p, err := newPublisher(conn, o)
	if err != nil {
		return nil, err
	}
	punctual()
	start := time.Now().Add(2 * time.Millisecond)
	p.from = start.Add(time.Duration(o.warmup) * time.Second)
	gap := float64(time.Second) / float64(o.rate)
	for n := range o.rate * (o.warmup + o.seconds) {
		due := start.Add(time.Duration(float64(n) * gap)) // from the count: rounding cannot add up
		for time.Now().Before(due) {
			nap(due)
		}
		if err := p.send(due); err != nil {
			return nil, err
		}
	}
	return p.finish(p.from)
}

// rush sends as fast as acks come back, with so many records in flight.
func rush(_ context.Context, conn *nats.Conn, o options) (any, error) {
	p, err := newPublisher(conn, o)
	if err != nil {
		return nil, err
	}
	p.room = make(chan struct{}, o.window)
	began := time.Now()
	p.from = began
	for range o.records {
		p.room <- struct{}{}
		if err := p.send(time.Now()); err != nil {
			return nil, err
		}
	}
	r, err := p.finish(began)
	r.Valid = r.Acked == o.records
	return r, err
}
