package producer_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/record"
)

var now = time.UnixMilli(1_700_000_000_000)

// batch is records of one producer, appended at base.
func batch(base, id int64, epoch int16, first int32, records int) record.Batch {
	b := record.NewBuilder(base).Producer(id, epoch, first)
	for range records {
		b.Append(nil, []byte("v"), nil, 0)
	}
	return b.Bytes()
}

// marker is a control batch.
func marker(base, id int64, epoch int16) record.Batch {
	return record.NewBuilder(base).Producer(id, epoch, -1).Control().Append([]byte("abcd"), []byte("efghij"), nil, 0).Bytes()
}

// sequences are one-record batches of producer 7 in epoch 0, at offsets equal to
// their sequences.
func sequences(from, to int32) []record.Batch {
	var all []record.Batch
	for s := from; s <= to; s++ {
		all = append(all, batch(int64(s), 7, 0, s, 1))
	}
	return all
}

// TestCheck is what Kafka's ProducerAppendInfo and ProducerStateEntry do.
func TestCheck(t *testing.T) {
	t.Parallel()
	fresh := producer.Verdict{Kind: producer.Fresh}
	duplicate := func(base, next int64) producer.Verdict {
		return producer.Verdict{Kind: producer.Duplicate, Base: base, Next: next}
	}
	const last = math.MaxInt32
	for _, tt := range []struct {
		name    string
		log     []record.Batch
		check   record.Batch
		want    producer.Verdict
		wantErr error
	}{
		{"no producer", nil, record.NewBuilder(0).Append(nil, nil, nil, 0).Bytes(), fresh, nil},
		{"unknown producer, first sequence", nil, batch(0, 7, 0, 0, 1), fresh, nil},
		{"unknown producer, any sequence", nil, batch(0, 7, 3, 41, 1), fresh, nil},
		{"next sequence", sequences(0, 2), batch(0, 7, 0, 3, 2), fresh, nil},
		{"another producer's sequence", sequences(0, 2), batch(0, 8, 0, 9, 1), fresh, nil},
		{"gap", sequences(0, 2), batch(0, 7, 0, 4, 1), producer.Verdict{}, producer.ErrOutOfOrderSequence},
		{"repeat of the last one", sequences(0, 6), batch(0, 7, 0, 6, 1), duplicate(6, 7), nil},
		{"repeat of the fifth last", sequences(0, 6), batch(0, 7, 0, 2, 1), duplicate(2, 3), nil},
		{"repeat too old to know", sequences(0, 6), batch(0, 7, 0, 1, 1), producer.Verdict{}, producer.ErrOutOfOrderSequence},
		{"repeat with other bounds", []record.Batch{batch(0, 7, 0, 0, 3)}, batch(0, 7, 0, 0, 2), producer.Verdict{}, producer.ErrOutOfOrderSequence},
		{"repeat of several records", []record.Batch{batch(40, 7, 0, 0, 3)}, batch(0, 7, 0, 0, 3), duplicate(40, 43), nil},
		{"newer epoch from zero", sequences(0, 2), batch(0, 7, 1, 0, 1), fresh, nil},
		{"newer epoch from elsewhere", sequences(0, 2), batch(0, 7, 1, 3, 1), producer.Verdict{}, producer.ErrOutOfOrderSequence},
		{"older epoch", []record.Batch{batch(0, 7, 2, 0, 1)}, batch(0, 7, 1, 1, 1), producer.Verdict{}, producer.ErrInvalidProducerEpoch},
		{"older epoch is fenced even as a repeat", []record.Batch{batch(0, 7, 1, 0, 1), batch(1, 7, 2, 0, 1)}, batch(0, 7, 1, 0, 1), producer.Verdict{}, producer.ErrInvalidProducerEpoch},
		{"sequence of the older epoch", append(sequences(0, 2), batch(3, 7, 1, 0, 1)), batch(0, 7, 1, 2, 1), producer.Verdict{}, producer.ErrOutOfOrderSequence},
		{"wrap between batches", []record.Batch{batch(0, 7, 0, last, 1)}, batch(0, 7, 0, 0, 1), fresh, nil},
		{"wrap within a batch", []record.Batch{batch(0, 7, 0, last-1, 4)}, batch(0, 7, 0, 2, 1), fresh, nil},
		{"repeat across the wrap", []record.Batch{batch(5, 7, 0, last-1, 4)}, batch(0, 7, 0, last-1, 4), duplicate(5, 9), nil},
		{"zero is not after anything but the last", sequences(0, 6), batch(0, 7, 0, 0, 1), producer.Verdict{}, producer.ErrOutOfOrderSequence},
		{"a marker leaves sequences alone", append(sequences(0, 2), marker(3, 7, 0)), batch(0, 7, 0, 3, 1), fresh, nil},
		{"a marker is no duplicate's excuse", append(sequences(0, 2), marker(3, 7, 0)), batch(0, 7, 0, 2, 1), duplicate(2, 3), nil},
		{"a marker of a newer epoch begins it", append(sequences(0, 2), marker(3, 7, 1)), batch(0, 7, 1, 0, 1), fresh, nil},
		{"a marker of a newer epoch fences", append(sequences(0, 2), marker(3, 7, 1)), batch(0, 7, 0, 3, 1), producer.Verdict{}, producer.ErrInvalidProducerEpoch},
		{"after a marker alone begins at zero", []record.Batch{marker(0, 7, 1)}, batch(0, 7, 1, 5, 1), producer.Verdict{}, producer.ErrOutOfOrderSequence},
		{"control batches have no sequence", sequences(0, 2), marker(0, 7, 0), fresh, nil},
		{"transactional", nil, record.NewBuilder(0).Producer(7, 0, 0).Transactional().Append(nil, nil, nil, 0).Bytes(), producer.Verdict{}, producer.ErrTransactional},
		{"replicated gaps are believed", []record.Batch{batch(0, 7, 0, 0, 1), batch(1, 7, 0, 50, 1)}, batch(0, 7, 0, 51, 1), fresh, nil},
		{"replicated epochs are believed", []record.Batch{batch(0, 7, 5, 9, 1), batch(1, 7, 4, 3, 1)}, batch(0, 7, 4, 4, 1), fresh, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := producer.New()
			for _, b := range tt.log {
				s.Update(b, now)
			}
			got, err := s.Check(tt.check)
			if got != tt.want || !errors.Is(err, tt.wantErr) {
				t.Errorf("verdict %+v, error %v; want %+v, %v", got, err, tt.want, tt.wantErr)
			}
			again, err := s.Check(tt.check)
			if again != got || !errors.Is(err, tt.wantErr) {
				t.Errorf("a second check says %+v, %v", again, err)
			}
		})
	}
}

func TestErrorSaysWhatWasExpected(t *testing.T) {
	t.Parallel()
	s := producer.New()
	s.Update(batch(0, 7, 2, 40, 3), now)
	_, err := s.Check(batch(0, 7, 2, 50, 1))
	var where *producer.Error
	if !errors.As(err, &where) {
		t.Fatalf("error %v is no *producer.Error", err)
	}
	want := producer.Error{ProducerID: 7, Epoch: 2, CurrentEpoch: 2, FirstSequence: 50, LastSequence: 42, Err: producer.ErrOutOfOrderSequence}
	if *where != want {
		t.Errorf("error says %+v, want %+v", *where, want)
	}
	for _, part := range []string{"producer 7", "epoch 2", "sequence 50", "sequence 42", "out of order"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not mention %q", err, part)
		}
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	s := producer.New()
	s.Update(batch(0, 1, 0, 0, 1), now)
	s.Update(batch(1, 2, 0, 0, 1), now.Add(time.Hour))
	s.Update(batch(2, 1, 0, 1, 1), now.Add(2*time.Hour)) // it wrote again
	if n := s.ExpireBefore(now.Add(time.Hour)); n != 0 || s.Len() != 2 {
		t.Errorf("forgot %d producers, %d are left", n, s.Len())
	}
	if n := s.ExpireBefore(now.Add(90 * time.Minute)); n != 1 || s.Len() != 1 {
		t.Errorf("forgot %d producers, %d are left", n, s.Len())
	}
	if v, err := s.Check(batch(0, 2, 0, 77, 1)); err != nil || v.Kind != producer.Fresh {
		t.Errorf("a forgotten producer is answered %+v, %v", v, err)
	}
	if _, err := s.Check(batch(0, 1, 0, 77, 1)); !errors.Is(err, producer.ErrOutOfOrderSequence) {
		t.Errorf("a remembered producer is answered %v", err)
	}
}

func TestNoTransactionIsOpen(t *testing.T) {
	t.Parallel()
	s := producer.New()
	s.Update(batch(0, 7, 0, 0, 1), now)
	s.Update(marker(1, 7, 0), now)
	if offset, open := s.FirstOpenOffset(); open {
		t.Errorf("a transaction is open at %d", offset)
	}
}
