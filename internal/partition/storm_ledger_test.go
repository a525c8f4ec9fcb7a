package partition

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// ledger is what one partition's log was after each change, in the order of the
// write-ahead log: recovery must find one of these states.
type ledger struct {
	tp     cluster.TopicPartition
	async  bool // acknowledges before the disk has the data
	states []logState
}

// logState is a log after a change.
type logState struct {
	lsn        wal.LSN // the change is durable once the write-ahead log is up to here
	start, end int64
	batches    []record.Batch
	gone       bool // removed from this broker
}

func (l *ledger) last() *logState { return &l.states[len(l.states)-1] }

// change adds a state; do edits a copy of the last one.
func (l *ledger) change(lsn wal.LSN, do func(s *logState)) {
	s := *l.last()
	s.lsn = lsn
	s.batches = s.batches[:len(s.batches):len(s.batches)]
	do(&s)
	l.states = append(l.states, s)
}

func (l *ledger) append(lsn wal.LSN, b record.Batch) {
	l.change(lsn, func(s *logState) {
		s.batches = append(s.batches, b)
		s.end = b.NextOffset()
	})
}

// cut ends the log with the last batch that ends at or below offset.
func (l *ledger) cut(lsn wal.LSN, offset int64) {
	l.change(lsn, func(s *logState) {
		for n := len(s.batches); n > 0 && s.batches[n-1].NextOffset() > offset; n-- {
			s.end = s.batches[n-1].BaseOffset()
			s.batches = s.batches[: n-1 : n-1]
		}
	})
}

func (l *ledger) reset(lsn wal.LSN, start int64) {
	l.change(lsn, func(s *logState) { s.start, s.end, s.batches = start, start, nil })
}

// durable is the index of the newest state that the disk was said to hold.
func (l *ledger) durable(lsn wal.LSN) int {
	for i := len(l.states) - 1; i > 0; i-- {
		if l.states[i].lsn <= lsn {
			return i
		}
	}
	return 0
}

// found is a log as recovery left it.
type found struct {
	there      bool
	start, end int64
	batches    []record.Batch
	producers  func(record.Batch) error // whether a batch is known to be a duplicate
}

func findLog(t *Table, tp cluster.TopicPartition) (found, error) {
	r, ok := t.Get(tp)
	if !ok {
		return found{}, nil
	}
	f := found{there: true, start: r.log.StartOffset(), end: r.log.EndOffset(), producers: r.knows}
	err := r.scan(f.start, func(b record.Batch) {
		err := record.Validate(b, 0)
		if e, ok := r.log.EpochAt(b.BaseOffset()); err == nil && (!ok || e != cluster.Epoch(b.LeaderEpoch())) && b.BaseOffset() >= f.start {
			err = fmt.Errorf("batch at %d is of epoch %d, the vector says %d", b.BaseOffset(), b.LeaderEpoch(), e)
		}
		if err != nil {
			f.producers = func(record.Batch) error { return err }
		}
		f.batches = append(f.batches, b)
	})
	return f, err
}

// knows returns an error unless a batch of the log would be called a duplicate.
func (r *Replica) knows(b record.Batch) error {
	v, err := r.producers.Check(b)
	if err == nil && v.Base != b.BaseOffset() {
		err = fmt.Errorf("verdict %+v", v)
	}
	if err != nil {
		return fmt.Errorf("the producer of the batch at %d is not known: %w", b.BaseOffset(), err)
	}
	return nil
}

// is compares a log with a state. The start may lie below that of the state:
// its moves are not written ahead.
func (f *found) is(s *logState) bool {
	if s.gone {
		return f.start == f.end
	}
	if f.end != s.end || f.start > s.start {
		return false
	}
	i, j := len(f.batches)-1, len(s.batches)-1
	for i >= 0 && j >= 0 && f.batches[i].NextOffset() > s.start {
		if !bytes.Equal(f.batches[i], s.batches[j]) {
			return false
		}
		i, j = i-1, j-1
	}
	return s.start == s.end || i < 0 || f.batches[i].NextOffset() <= s.start
}

// match finds the state that recovery has come to, the newest one first.
func (l *ledger) match(t *Table, durable wal.LSN) (found, error) {
	f, err := findLog(t, l.tp)
	if err != nil {
		return f, err
	}
	least := l.durable(durable)
	for i := len(l.states) - 1; i >= least; i-- {
		s := &l.states[i]
		if !f.is(s) {
			continue
		}
		if n := len(f.batches); n > 0 {
			// The last batch of the producer, if it is the last of the log.
			if b := f.batches[n-1]; b.ProducerID() >= 0 {
				return f, f.producers(b)
			}
		}
		return f, nil
	}
	return f, fmt.Errorf("%w: [%d, %d) in %d batches; was durable up to %d (change %d of %d), written up to %d",
		errLost, f.start, f.end, len(f.batches), l.states[least].end, least, len(l.states)-1, l.last().end)
}

var errLost = errors.New("recovered a log that never was, or lost what was durable")

// reopen recovers a disk and compares every log with what it was. Replicas that
// recovery reports as failed are returned; they hold nothing.
func reopen(fsys vfs.FS, ledgers []*ledger, durable wal.LSN) (report RecoveryReport, logs map[cluster.TopicPartition]found, err error) {
	log, table, report, err := openTable(fsys)
	if err != nil {
		return report, nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	logs = map[cluster.TopicPartition]found{}
	for _, l := range ledgers {
		if i := slices.Index(report.Failed, l.tp); i >= 0 {
			if l.last().gone {
				// Its files are deleted before the removal is on disk, so after a loss
				// of power they may be missed. The metadata does not know it any more.
				report.Failed = slices.Delete(report.Failed, i, i+1)
			}
			continue
		}
		f, err := l.match(table, durable)
		if err != nil {
			return report, nil, fmt.Errorf("%s: %w", l.tp, err)
		}
		logs[l.tp] = f
	}
	for _, r := range table.Replicas() {
		known := slices.ContainsFunc(ledgers, func(l *ledger) bool { return l.tp == r.tp })
		if !known && r.log.EndOffset() > 0 {
			return report, nil, fmt.Errorf("%s came back from the dead", r.tp)
		}
	}
	return report, logs, nil
}

// openTable recovers a data directory, without starting anything.
func openTable(fsys vfs.FS) (*wal.Log, *Table, RecoveryReport, error) {
	log, err := wal.Open(wal.Options{FS: fsys, Dir: "data/wal", FileBytes: 24 << 10, FirstFileBytes: 12 << 10, RecycleFiles: 2})
	if err != nil {
		return nil, nil, RecoveryReport{}, err
	}
	table := NewTable(Options{Self: 1, Incarnation: cluster.UUID{1}, FS: fsys, Dir: "data", WAL: log, TailBytes: 6 << 10, ReserveBytes: 1, CheckpointSyncs: 1})
	report, err := table.Recover()
	if err != nil {
		return nil, nil, report, errors.Join(err, log.Close())
	}
	return log, table, report, nil
}

// whyFailed is what the markers of failed replicas say.
func whyFailed(fsys vfs.FS, report RecoveryReport) (why []string) {
	t := NewTable(Options{Dir: "data"})
	for _, tp := range report.Failed {
		said, err := vfs.ReadFile(fsys, t.failureMarker(tp))
		why = append(why, fmt.Sprintf("%q %v", said, err))
	}
	return why
}
