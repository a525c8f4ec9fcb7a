package sim

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// summary adds up what many schedules lived through.
type summary struct {
	trials, void     int
	virtual          time.Duration // of schedules that are not void
	sum              tally
	lost, dup, other int
	// recoveries counts, by the power of two of milliseconds above it, how long
	// it took from the end of all faults to the end of all trouble.
	recoveries [32]int
}

// add is for a schedule that has ended. One in which nothing was acknowledged
// before the faults were over proves nothing.
func (s *summary) add(w *world) {
	s.trials++
	switch {
	case w.failure == nil:
	case strings.HasPrefix(w.failure.Error(), string(loss)):
		s.lost++
	case strings.HasPrefix(w.failure.Error(), string(duplicate)):
		s.dup++
	default:
		s.other++
	}
	if w.tally.ackedBefore == 0 {
		s.void++
		return
	}
	s.virtual += w.now.Sub(w.began)
	s.sum.acked += w.tally.acked
	s.sum.elections += w.tally.elections
	s.sum.crashes += w.tally.crashes
	s.sum.cuts += w.tally.cuts
	s.sum.damages += w.tally.damages
	bucket := 0
	for ms := w.tally.recovery.Milliseconds(); ms > 0; ms >>= 1 {
		bucket++
	}
	s.recoveries[bucket]++
}

// quantile is an upper bound of the time that this share of recoveries took.
func (s *summary) quantile(q float64) time.Duration {
	total, seen := 0, 0
	for _, n := range s.recoveries {
		total += n
	}
	for i, n := range s.recoveries {
		if seen += n; float64(seen) >= q*float64(total) {
			return time.Duration(1<<i-1) * time.Millisecond
		}
	}
	return 0
}

func (s *summary) String() string {
	return fmt.Sprintf("%d schedules, %d of them void; the others took %.0f h of virtual time, with %d batches acknowledged, %d leaderships, %d crashes, %d cuts of the network, %d lost disks or replicas",
		s.trials, s.void, s.virtual.Hours(), s.sum.acked, s.sum.elections, s.sum.crashes, s.sum.cuts, s.sum.damages)
}

// print prints the line that the table of goals is made of. p50 and p99 are of
// the recoveries, in milliseconds of virtual time.
func (s *summary) print(t *testing.T, first uint64, failure error) {
	commit := "unknown"
	if out, err := exec.CommandContext(t.Context(), "git", "rev-parse", "--short=12", "HEAD").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	line, err := json.Marshal(struct {
		Goal         int     `json:"goal"`
		Trials       int     `json:"trials"`
		Acked        int     `json:"acked"`
		Lost         int     `json:"lost"`
		Dup          int     `json:"dup"`
		Violations   int     `json:"violations"`
		Void         int     `json:"void"`
		P50          int64   `json:"p50"`
		P99          int64   `json:"p99"`
		Seed         uint64  `json:"seed"`
		Commit       string  `json:"commit"`
		VirtualHours float64 `json:"virtual_hours"`
		Elections    int     `json:"elections"`
		Crashes      int     `json:"crashes"`
		Cuts         int     `json:"cuts"`
		LostDisks    int     `json:"lost_disks"`
		Failure      string  `json:"failure,omitempty"`
	}{
		4, s.trials, s.sum.acked, s.lost, s.dup, s.lost + s.dup + s.other, s.void,
		s.quantile(0.5).Milliseconds(), s.quantile(0.99).Milliseconds(), first, commit, s.virtual.Hours(),
		s.sum.elections, s.sum.crashes, s.sum.cuts, s.sum.damages, text(failure),
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestQuantile keeps the buckets honest.
func TestQuantile(t *testing.T) {
	var s summary
	for _, ms := range slices.Repeat([]int{3}, 98) {
		s.add(&world{tally: tally{ackedBefore: 1, recovery: time.Duration(ms) * time.Millisecond}})
	}
	s.add(&world{tally: tally{ackedBefore: 1, recovery: time.Second}})
	s.add(&world{tally: tally{recovery: time.Hour}})
	if p50, p99 := s.quantile(0.5), s.quantile(0.999); p50 != 3*time.Millisecond || p99 != 1023*time.Millisecond || s.void != 1 {
		t.Errorf("p50 %v, p99.9 %v, %d void", p50, p99, s.void)
	}
}
