//go:build faults && linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/faults/check"
	"github.com/chronik-project/chronik/test/faults/disk"
	"github.com/chronik-project/chronik/test/faults/load"
)

// TestOutcomeHungLeaderDisk: a leader whose syncs do not return loses the lead,
// and is not waited for as a follower; also where it is the controller too, which
// has to be replaced before it can be.
func TestOutcomeHungLeaderDisk(t *testing.T) {
	for _, controls := range []bool{false, true} {
		name := "not the controller's"
		if controls {
			name = "the controller's"
		}
		t.Run(name, func(t *testing.T) {
			p, disks := onFaulty(t, plan{})
			r := newRig(t, p)
			controller := r.controller()
			partition, leader, _ := r.partitionThat(name, func(leader int, _ []int) bool { return (leader == controller) == controls })
			exited := r.brokers.Exited(leader - 1)
			hang := disks[leader-1].Inject(disk.Rule{Op: disk.OpSync, Hang: true})
			r.fault(leader, "hung disk", func() error { <-hang.Hit(); return nil })
			r.awaitNewLeader(leader, partition)
			r.awaitAcks(100)
			r.fault(leader, "the disk goes on", func() error { hang.Remove(); return nil })
			r.awaitInSync(leader, exited)
			report := r.verdict(check.Rules{})
			r.atMost("stall", report.Longest(), 6*time.Second)
		})
	}
}

// TestOutcomeHungSegments: writes to the files behind the write-ahead log do not
// return, while its own do. Appends go on until memory is full of what they should
// have taken; then another leads, as with any disk that hangs.
func TestOutcomeHungSegments(t *testing.T) {
	p, disks := onFaulty(t, plan{partitions: 1, load: load.Config{Idempotent: 2, Rate: 500, ValueBytes: 8192}})
	p.host.Args = []string{"--memory", "64MiB", "--wal-file-size", "4MiB"}
	r := newRig(t, p)
	leader := r.leader(0)
	hang := disks[leader-1].Inject(disk.Rule{Op: disk.OpWrite, Path: "*.log", Hang: true})
	r.fault(leader, "segments hang", func() error { <-hang.Hit(); return nil })
	r.awaitNewLeader(leader, 0)
	r.awaitAcks(500)
	r.fault(leader, "the disk goes on", func() error { hang.Remove(); return nil })
	report := r.verdict(check.Rules{})
	r.atMost("stall", report.Longest(), 6*time.Second)
}

// awaitInSync waits until a broker whose disk hung is in sync again. One whose disk
// did so for 5 s ends, and is started.
func (r *rig) awaitInSync(broker int, exited <-chan struct{}) {
	r.Helper()
	restart := func() {
		select {
		case <-exited:
			exited = nil
			r.start(broker)
		default:
		}
	}
	r.await(40*time.Second, "the broker whose disk hung", func(ctx context.Context) error {
		restart()
		all, err := r.describe(ctx)
		for _, p := range all {
			if !slices.Contains(p.ISR, int32(broker)) {
				err = errors.Join(err, fmt.Errorf("partition %d: in sync %v", p.Partition, p.ISR))
			}
		}
		return err
	})
}
