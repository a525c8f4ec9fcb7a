//go:build faults && linux

package powercut

import (
	"errors"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/record"
)

// verify reads every record as a consumer would and says which life wrote it.
// It returns how many there are.
func (w *writer) verify() (int64, error) {
	var total int64
	for p := range partitions {
		r, _ := w.replica(w.Topic, p)
		v := &verifier{writer: w, partition: p}
		for {
			res, err := r.Read(partition.ReadRequest{
				Offset: v.next, MaxBytes: 1 << 20, MinOne: true, CurrentEpoch: cluster.NoEpoch, LastFetchedEpoch: cluster.NoEpoch,
			})
			if err != nil {
				return 0, fmt.Errorf("partition %d at %d: %w", p, v.next, err)
			}
			if len(res.Batches) == 0 {
				break
			}
			for _, b := range res.Batches {
				if err := v.batches(b); err != nil {
					return 0, fmt.Errorf("partition %d at %d: %w", p, v.next, err)
				}
			}
		}
		if end := r.Info().LogEndOffset; end != v.next {
			if err := w.say(sayBad, fmt.Sprintf("partition %d ends at %d, records are served up to %d", p, end, v.next)); err != nil {
				return 0, err
			}
		}
		if err := v.flush(); err != nil {
			return 0, err
		}
		total += v.next
	}
	return total, nil
}

// verifier goes through the records of a partition.
type verifier struct {
	*writer
	partition   int
	next, first int64 // of the partition; of the run
	life        uint64
}

func (v *verifier) batches(p []byte) error {
	for len(p) > 0 {
		b, rest, err := record.Next(p)
		if err != nil {
			return err
		}
		if err := record.Validate(b, len(b)); err != nil {
			return err
		}
		if b.BaseOffset() != v.next {
			return fmt.Errorf("a batch that starts at %d", b.BaseOffset())
		}
		if err := b.Each(v.record); err != nil {
			return err
		}
		p = rest
	}
	return nil
}

func (v *verifier) record(r record.Record) error {
	at, err := placeOf(v.Seed, r.Value)
	switch {
	case err != nil:
		err = v.say(sayBad, fmt.Sprintf("partition %d at %d: %v", v.partition, v.next, err))
	case at.partition != v.partition || at.offset != v.next:
		err = v.say(sayBad, fmt.Sprintf("partition %d at %d has the record of %+v", v.partition, v.next, at))
	}
	if at.life != v.life {
		err = errors.Join(err, v.flush())
		v.life = at.life
	}
	v.next++
	return err
}

// flush says the run that ends here.
func (v *verifier) flush() error {
	if v.first == v.next {
		return nil
	}
	first := v.first
	v.first = v.next
	return v.say(sayRun, v.partition, v.life, first, v.next)
}
