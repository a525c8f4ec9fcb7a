//go:build faults && linux

package faults

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/disk"
	"github.com/chronik-project/chronik/test/faults/history"
)

var preserveIn = flag.String("faults.keep", "/var/tmp", "`directory` for the history and the logs of rounds that failed")

// nextRound gives the cluster another topic, whose history begins now. The
// round before has been judged; its topic is deleted.
func (r *rig) nextRound() {
	r.Helper()
	old := r.plan.topic
	r.plan.topic = fmt.Sprintf("%s-%d", topic, time.Since(r.started).Milliseconds())
	r.history, r.final, r.loading = history.New(), nil, make(chan error, 1)
	r.createTopic()
	r.startLoad()
	_, err := r.admin.DeleteTopics(r.within(20*time.Second), old)
	if err != nil {
		r.Fatalf("delete topic %s: %v", old, err)
	}
	r.awaitAcks(10)
}

// settle is how long a campaign waits for full in-sync sets. The k-th rejoin
// within five minutes waits 2^k s, a minute at most, so that who flaps does not
// make acks=all stall each time; campaigns make brokers flap.
const settle = 90 * time.Second

// campaignPatience is for clusters that have been through a lot.
var campaignPatience = patience{
	acks: 5, fullISR: settle, finish: 2 * time.Minute,
	// Five seconds, and what TCP waits for by itself after a cut of some seconds.
	recovery: 15 * time.Second,
}

// preserve writes the history and copies the brokers' logs to where they outlive
// the test program, whose own temporary directory does not.
func (r *rig) preserve() string {
	r.Helper()
	dir, err := os.MkdirTemp(*preserveIn, "chronik-faults-kept-")
	if err != nil {
		r.Errorf("keep the history: %v", err)
		return "no directory"
	}
	for _, b := range r.brokers.Brokers() {
		err = errors.Join(err, copyFile(filepath.Join(dir, fmt.Sprintf("broker-%d.log", b.ID)), b.Log))
	}
	f, failed := os.Create(filepath.Join(dir, "history.jsonl"))
	if failed == nil {
		failed = errors.Join(history.Write(f, r.history, r.final), f.Close())
	}
	if err := errors.Join(err, failed); err != nil {
		r.Errorf("keep the history: %v", err)
	}
	return dir
}

func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	dst, err := os.Create(to)
	if err != nil {
		return errors.Join(err, src.Close())
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, src.Close(), dst.Close())
}

// timeline logs the last faults of a round.
func (r *rig) timeline() {
	r.Helper()
	var lines []string
	for op := range r.history.All() {
		if op.Kind == history.Fault {
			lines = append(lines, fmt.Sprintf("%8.3f to %8.3f s  broker %2d  %s", op.Start.Seconds(), op.End.Seconds(), op.Node, op.Error))
		}
	}
	for _, line := range lines[max(0, len(lines)-40):] {
		r.Log(line)
	}
}

// blow is a fault that took the leader of some partitions away.
type blow struct {
	at  time.Duration // in the history
	led []int32
	// controller says that it was the controller, whose successor must be found first.
	controller bool
}

// stillOnTheWay is how long after a leader's death its last answers may be read.
const stillOnTheWay = 50 * time.Millisecond

// outages are the times from each blow to the next acknowledgement on each of
// its partitions. One that never came is none; that is for the checker.
func outages(h *history.History, blows []blow) []time.Duration {
	acks := map[int32][]time.Duration{}
	for op := range h.All() {
		if op.Kind == history.Send && op.Outcome == history.OK {
			acks[op.Partition] = append(acks[op.Partition], op.End)
		}
	}
	var all []time.Duration
	for _, ends := range acks {
		slices.Sort(ends)
	}
	for _, b := range blows {
		for _, p := range b.led {
			if i, _ := slices.BinarySearch(acks[p], b.at+stillOnTheWay); i < len(acks[p]) {
				all = append(all, acks[p][i]-b.at)
			}
		}
	}
	return all
}

// gapsAround are, for each blow and partition of it, the longest times without an
// acknowledgement, while one was waited for, until some time after the blow.
func gapsAround(report *check.Report, blows []blow, within time.Duration) []time.Duration {
	var all []time.Duration
	for _, b := range blows {
		for _, p := range b.led {
			var longest time.Duration
			for _, s := range report.Stalls {
				for _, gap := range s.Gaps {
					if s.Partition == p && gap.To > b.at && gap.From < b.at+within {
						longest = max(longest, gap.To-gap.From)
					}
				}
			}
			all = append(all, longest)
		}
	}
	return all
}

// between draws a duration.
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)+1))
}

// logBetween draws one whose logarithm is uniform: as many of 1 to 2 s as of 30
// to 60 s.
func logBetween(rng *rand.Rand, least, most time.Duration) time.Duration {
	return time.Duration(float64(least) * math.Pow(float64(most)/float64(least), rng.Float64()))
}

// someLeader draws a broker that leads something, but none of some.
func (r *rig) someLeader(rng *rand.Rand, but ...int) int {
	r.Helper()
	var able []int
	for _, id := range r.all() {
		if !slices.Contains(but, id) && len(r.ledBy(id)) > 0 {
			able = append(able, id)
		}
	}
	if len(able) == 0 {
		r.Fatalf("nobody but %v leads anything", but)
	}
	return able[rng.IntN(len(able))]
}

// lightsOut cuts the power of brokers, all at the same moment, and brings their
// disks back. Who has no power does nothing: without the freeze a broker would
// see its disk fail first, which is another fault.
func (r *rig) lightsOut(disks []disk.Volatile, victims ...int) {
	r.Helper()
	r.fault(0, fmt.Sprintf("power cut of %v", victims), func() (err error) {
		for _, id := range victims {
			if r.brokers.Alive(id - 1) {
				_ = r.brokers.Pause(id - 1) // unless it has just ended by itself
			}
		}
		for _, id := range victims {
			err = errors.Join(err, disks[id-1].PowerCut())
		}
		for _, id := range victims {
			err = errors.Join(err, r.end(id))
		}
		for _, id := range victims {
			err = errors.Join(err, disks[id-1].Remount())
		}
		return err
	})
}
