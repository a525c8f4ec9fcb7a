package partition

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/chronik-project/chronik/internal/pause"
	"github.com/chronik-project/chronik/internal/segment"
)

const (
	// scrubInterval is the time from the begin of one pass over all replicas to the
	// next, if a pass does not take longer.
	scrubInterval = 6 * time.Hour
	// scrubRest is how many times as long as a read took no other follows: on a disk
	// that is busy, or a machine that is, reads take longer, and so the scrub gives
	// way to whoever makes them take longer.
	scrubRest = 4
	// scrubRestMax bounds that: a process that was stopped has not read all the time.
	scrubRestMax = 10 * time.Second
	// sparedInterval is how often replicas are looked at that are damaged and could
	// not be done without.
	sparedInterval = 30 * time.Second
)

// ScrubStats says what the scrub has done since the start.
type ScrubStats struct {
	Bytes    int64     // read from segment files
	Passes   int64     // over all replicas
	LastPass time.Time // end of the last one; zero if there was none
	Damages  int64     // replicas found damaged
	Indexes  int64     // indexes found damaged, and made anew
}

// scrubber counts. Read from any goroutine, written by RunScrub.
type scrubber struct {
	bytes, passes, lastPass, damages, indexes atomic.Int64
}

// ScrubStats returns what the scrub has done.
func (t *Table) ScrubStats() ScrubStats {
	s := ScrubStats{
		Bytes: t.scrubbed.bytes.Load(), Passes: t.scrubbed.passes.Load(),
		Damages: t.scrubbed.damages.Load(), Indexes: t.scrubbed.indexes.Load(),
	}
	if at := t.scrubbed.lastPass.Load(); at > 0 {
		s.LastPass = time.UnixMilli(at)
	}
	return s
}

// RunScrub reads all segment files again and again, at Options.ScrubRate at most,
// until ctx ends: damage to what nobody reads would otherwise be found when it is
// needed, after another replica was lost. A damaged replica is given up like one
// that a read found damaged.
func (t *Table) RunScrub(ctx context.Context) error {
	if t.o.ScrubRate < 0 {
		<-ctx.Done()
		return nil
	}
	if err := t.awaitRegistration(ctx); err != nil {
		return err
	}
	for {
		began := t.o.Now()
		spared := t.scrubAll(ctx, t.Replicas())
		if err := ctx.Err(); err != nil {
			return err
		}
		t.scrubbed.passes.Add(1)
		t.scrubbed.lastPass.Store(t.o.Now().UnixMilli())
		for left := time.Second; left > 0; left = scrubInterval - t.o.Now().Sub(began) {
			if !pause.For(ctx, min(left, sparedInterval)) {
				return ctx.Err()
			}
			dispensable := slices.DeleteFunc(slices.Clone(spared), (*Replica).irreplaceable)
			t.scrubAll(ctx, dispensable)
			spared = slices.DeleteFunc(spared, func(r *Replica) bool { return slices.Contains(dispensable, r) })
		}
	}
}

// scrubAll checks replicas and returns those that are damaged and irreplaceable.
func (t *Table) scrubAll(ctx context.Context, replicas []*Replica) (spared []*Replica) {
	p := pacer{ctx: ctx, rate: t.o.ScrubRate, since: t.o.Now(), now: t.o.Now, bytes: &t.scrubbed.bytes}
	for _, r := range replicas {
		if t.scrub(r, p.pace) {
			spared = append(spared, r)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return spared
}

// scrub checks one replica. One that is damaged and irreplaceable is spared.
func (t *Table) scrub(r *Replica, pace func(int64) error) (spared bool) {
	if r.log == nil || r.hasFailed() {
		return false
	}
	done, err := r.log.Scrub(pace)
	if done.Indexes > 0 {
		t.scrubbed.indexes.Add(int64(done.Indexes))
		t.o.Logger.Error("damaged segment indexes made anew: the disk may be failing", r.attrs("indexes", done.Indexes)...)
	}
	switch {
	case err == nil || errors.Is(err, context.Canceled) || r.hasFailed():
	case !errors.Is(err, segment.ErrCorrupt):
		t.o.Logger.Warn("cannot check segments", r.attrs("error", err)...)
	case r.irreplaceable():
		t.scrubbed.damages.Add(1)
		t.o.Logger.Error("DAMAGED SEGMENT in the only replica in sync: it goes on with what is whole, and is given up once another replica is in sync",
			r.attrs("error", err)...)
		return true
	default:
		t.scrubbed.damages.Add(1)
		t.o.Logger.Error("DAMAGED SEGMENT: replica given up, to be replicated again", r.attrs("error", err)...)
		t.failDamaged(r, err.Error())
	}
	return false
}

// irreplaceable reports whether the partition would be without a leader if this
// replica were given up. A read that meets the damage gives it up nevertheless.
func (r *Replica) irreplaceable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, self := r.meta.part, r.t.o.Self
	return p == nil || len(p.ISR) == 1 && p.InISR(self)
}

// pacer holds a scrub back.
type pacer struct {
	ctx   context.Context
	rate  int64     // bytes per second
	since time.Time // the last read may begin
	now   func() time.Time
	bytes *atomic.Int64
}

// pace waits until so many bytes may be read.
func (p *pacer) pace(n int64) error {
	took := p.now().Sub(p.since) // reading and checking what was allowed last
	due := time.Duration(float64(n) / float64(p.rate) * float64(time.Second))
	if !pause.For(p.ctx, max(due, min(scrubRest*took, scrubRestMax))) {
		return p.ctx.Err()
	}
	p.since = p.now()
	p.bytes.Add(n)
	return nil
}
