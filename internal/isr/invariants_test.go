package isr_test

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
)

// checkProposal checks I5 and I6 for what Tick returned.
func (w *world) checkProposal(p isr.Proposal) {
	if w.flying {
		if !reflect.DeepEqual(p, w.last) {
			w.fail("I5: proposal %+v while %+v may be committed", p, w.last)
		}
		w.alive++
		return
	}
	w.last, w.flying, w.alive = p, true, 1
	for _, id := range p.Add {
		f := w.followers[id]
		b, _ := w.images[w.seen].Broker(id)
		switch {
		case f.told == 0:
			w.fail("I6: broker %d has no session", id)
		case f.toldEnd < w.state.HighWatermark() || f.toldEnd < w.state.EpochStart():
			w.fail("I6: broker %d is durable up to %d, high watermark %d, epoch start %d",
				id, f.toldEnd, w.state.HighWatermark(), w.state.EpochStart())
		case !b.Eligible() || b.Epoch != f.toldEpoch:
			w.fail("I6: broker %d is known as %+v, its session has epoch %d", id, b, f.toldEpoch)
		case !slices.Contains(p.ISR, cluster.ISRMember{ID: id, Epoch: f.toldEpoch}):
			w.fail("I6: broker %d is proposed in %v, its session has epoch %d", id, p.ISR, f.toldEpoch)
		}
	}
}

func (w *world) fail(format string, args ...any) {
	if w.failure == nil {
		w.failure = fmt.Errorf(format, args...)
	}
}

// check looks at everything that must hold between two steps.
func (w *world) check() error {
	hw := w.state.HighWatermark()
	if w.failure != nil {
		return w.failure
	}
	if hw < w.watermark || hw > w.end {
		return fmt.Errorf("I1: high watermark %d after %d, log end %d", hw, w.watermark, w.end)
	}
	if hw > w.watermark {
		w.logf("hw %d -> %d", w.watermark, hw)
		if err := w.checkMove(hw); err != nil {
			return err
		}
	}
	w.watermark = hw
	if err := w.checkSets(); err != nil {
		return err
	}
	p := w.partition()
	for _, id := range p.ISR {
		f := w.followers[id]
		if id != worldLeader && f.disk < hw && !f.lost {
			return fmt.Errorf("broker %d may be elected and holds %d of %d committed", id, f.disk, hw)
		}
	}
	return nil
}

// checkMove checks I2 and I3 for a high watermark that has just moved.
func (w *world) checkMove(hw int64) error {
	if hw > w.durable {
		return fmt.Errorf("I2: high watermark %d, the leader is durable up to %d", hw, w.durable)
	}
	for _, id := range w.state.MaximalISR() {
		if f := w.followers[id]; id != worldLeader && (f.told == 0 || f.toldEnd < hw) {
			return fmt.Errorf("I2: high watermark %d, broker %d in session %d told %d", hw, id, f.told, f.toldEnd)
		}
	}
	if len(w.state.ISR()) < worldMinISR {
		return fmt.Errorf("I3: high watermark %d moved with the committed set %v", hw, w.state.ISR())
	}
	return nil
}

// checkSets checks that the sets are what the metadata and the flight make them
// (I4).
func (w *world) checkSets() error {
	_, p, _ := w.images[w.seen].Partition(w.tp)
	if !slices.Equal(w.state.ISR(), p.ISR) {
		return fmt.Errorf("in-sync set %v, metadata has %v", w.state.ISR(), p.ISR)
	}
	maximal := w.state.MaximalISR()
	for _, id := range p.ISR {
		if !slices.Contains(maximal, id) {
			return fmt.Errorf("I4: member %d is missing in %v", id, maximal)
		}
	}
	for _, id := range w.last.Add {
		if w.flying && !slices.Contains(maximal, id) {
			return fmt.Errorf("I4: proposed member %d is missing in %v", id, maximal)
		}
	}
	return nil
}
