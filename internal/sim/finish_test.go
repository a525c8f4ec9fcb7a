package sim

import (
	"bytes"
	"encoding/binary"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/record"
)

// finish lets everything heal and reads it all.
func (s *tables) finish(seed uint64) {
	for range 300 {
		<-time.After(20 * time.Millisecond)
		synctest.Wait()
		for _, n := range s.nodes {
			s.repair(n)
			s.learn(n, len(s.images)-1)
			n.disk.release()
			for s.judge(n) {
				continue
			}
			for _, f := range s.nodes {
				if _, ok := n.sessions[f.id]; !ok || s.r.IntN(20) == 0 {
					s.connect(n, f)
				}
				s.ship(n, f)
				synctest.Wait()
				s.deliver(n, f)
			}
		}
		synctest.Wait()
	}
	s.settle()
	s.check(seed)
	for _, n := range s.nodes {
		s.crash(n)
	}
}

// check compares what every replica holds with what was acknowledged.
func (s *tables) check(seed uint64) {
	_, p, _ := s.newest().Partition(s.tp)
	bad := len(p.ISR) != brokerCount
	for _, n := range s.nodes {
		at := map[int64]int64{}
		r, _ := n.table.Get(s.tp)
		hw := r.Info().HighWatermark
		for offset := int64(0); offset < hw; {
			res, err := r.Read(partition.ReadRequest{Offset: offset, MaxBytes: 1 << 20, MinOne: true, CurrentEpoch: cluster.NoEpoch, LastFetchedEpoch: cluster.NoEpoch, AllowFollower: true})
			if err != nil {
				s.t.Fatal(err)
			}
			for rest := bytes.Join(res.Batches, nil); len(rest) > 0; {
				var b record.Batch
				if b, rest, err = record.Next(rest); err != nil {
					s.t.Fatal(err)
				}
				_ = b.Each(func(rec record.Record) error { at[int64(binary.BigEndian.Uint64(rec.Value))] = rec.Offset; return nil })
				offset = b.NextOffset()
			}
		}
		for value, offset := range s.acked {
			if got, ok := at[value]; !ok || got != offset {
				s.t.Errorf("LOSS: broker %d lacks %d, acknowledged at %d (has it: %t)", n.id, value, offset, ok)
				bad = true
			}
		}
	}
	if bad || s.t.Failed() {
		for _, line := range s.trace {
			s.t.Log(line)
		}
		s.t.Errorf("-sim.first %d -sim.n %d: partition %+v", seed, tableShare, p)
	}
}
