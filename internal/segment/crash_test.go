package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

// frame is what the write-ahead log would hold of one change.
type frame struct {
	apply func(m *model)     // to the model
	redo  func(l *Log) error // to a log, in replay
	what  string             // for messages
}

// broker is a log with its write-ahead log and its checkpoints, as a seeded
// workload sees them.
type broker struct {
	fs     vfs.FS
	rng    *rand.Rand
	log    *Log
	model  model
	frames []frame          // all that was ever written ahead, minus what crashes took
	synced int              // how many frames are on disk
	marks  map[string]model // the log as it was when a mark was taken
	epoch  cluster.Epoch
}

// do writes a change ahead and makes it.
func (b *broker) do(f frame) error {
	b.frames = append(b.frames, f)
	f.apply(&b.model)
	return f.redo(b.log)
}

func (b *broker) step() error {
	switch n := b.rng.IntN(20); {
	case n < 8:
		return b.append()
	case n < 11:
		return b.log.Flush()
	case n < 12:
		b.log.TrimTail(b.rng.Int64N(600))
		return nil
	case n < 14:
		return b.truncate()
	case n < 15:
		b.synced = len(b.frames)
		return nil
	case n < 16:
		start := b.model.start + b.rng.Int64N(b.model.end-b.model.start+1)
		b.log.AdvanceStart(start)
		b.model.advance(start)
		return nil
	case n < 17 && b.rng.IntN(4) == 0:
		start := b.rng.Int64N(b.model.end + 20)
		return b.do(frame{
			what: fmt.Sprint("reset ", start), apply: func(m *model) { m.reset(start) },
			redo: func(l *Log) error { return l.ResetTo(start) },
		})
	default:
		return b.checkpoint()
	}
}

func (b *broker) append() error {
	if b.rng.IntN(5) == 0 {
		b.epoch++
	}
	p := batch(b.model.end, 1+b.rng.IntN(3), b.epoch, b.rng.IntN(150))
	return b.do(frame{
		what:  fmt.Sprintf("append [%d, %d)", p.BaseOffset(), p.NextOffset()),
		apply: func(m *model) { m.append(p) },
		redo:  func(l *Log) error { return l.Append(append([]byte{}, p...)) },
	})
}

func (b *broker) truncate() error {
	if b.model.end == b.model.start {
		return nil
	}
	to := b.model.start + b.rng.Int64N(b.model.end-b.model.start)
	b.epoch++
	return b.do(frame{
		what: fmt.Sprint("truncate ", to), apply: func(m *model) { m.truncate(to) },
		redo: func(l *Log) error { return l.TruncateTo(to) },
	})
}

// checkpoint makes one, with changes coming in between its steps.
func (b *broker) checkpoint() error {
	m := b.log.Mark(int64(len(b.frames)))
	m.HighWatermark = m.Start
	b.marks[fmt.Sprint(m)] = b.model.clone()
	if b.rng.IntN(3) == 0 {
		if err := b.truncate(); err != nil {
			return err
		}
	}
	if b.rng.IntN(3) == 0 {
		if err := b.append(); err != nil {
			return err
		}
	}
	if err := b.log.Sync(m); err != nil {
		if errors.Is(err, ErrStaleMark) {
			return nil
		}
		return err
	}
	if b.rng.IntN(3) == 0 {
		if err := b.truncate(); err != nil {
			return err
		}
		if err := b.append(); err != nil {
			return err
		}
		if err := b.log.Flush(); err != nil {
			return err
		}
	}
	b.synced = max(b.synced, int(m.LSN))
	err := WriteCheckpoint(b.fs, "data", Checkpoint{LSN: m.LSN, Partitions: map[cluster.TopicPartition]Mark{{}: m}})
	if err != nil {
		return err
	}
	return b.log.Committed(m)
}

// recover opens the log of a file system that went down, replays what the
// write-ahead log kept, and compares the outcome with the model.
func (b *broker) recover(fsys vfs.FS) error {
	c, err := ReadCheckpoint(fsys, "data")
	if err != nil && !vfs.IsNotExist(err) {
		return err
	}
	m := c.Partitions[cluster.TopicPartition{}]
	b.fs = fsys
	if b.log, err = Open(small(fsys).at(m)); err != nil {
		return err
	}
	b.frames = b.frames[:b.synced+b.rng.IntN(len(b.frames)-b.synced+1)]
	b.synced = len(b.frames)
	b.model = b.marks[fmt.Sprint(m)]
	b.model = b.model.clone()
	for i, f := range b.frames[m.LSN:] {
		f.apply(&b.model)
		if err := f.redo(b.log); err != nil {
			return fmt.Errorf("mark %+v: replay %d, %s: %w", m, i, f.what, err)
		}
	}
	if err := b.model.compare(b.log); err != nil {
		return fmt.Errorf("mark %+v: %w", m, err)
	}
	return nil
}

// TestCrashAfterEveryOperation stops seeded workloads after each operation on
// the file system, loses power with a random part of what was not synced, and
// recovers from checkpoint and write-ahead log, several times in a row.
func TestCrashAfterEveryOperation(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		ops, err := crashHistory(seed, -1)
		if err != nil {
			t.Fatalf("seed %d, not stopped: %v", seed, err)
		}
		for stop := range ops {
			if _, err := crashHistory(seed, stop); err != nil {
				t.Fatalf("seed %d, stopped after operation %d: %v", seed, stop, err)
			}
		}
	}
}

func crashHistory(seed uint64, stop int64) (ops int64, err error) {
	disk := vfs.NewMem()
	if err := vfs.MkdirAllSync(disk, "data"); err != nil {
		return 0, err
	}
	b := &broker{rng: rand.New(rand.NewPCG(seed, 1)), marks: map[string]model{}}
	for life := range 3 {
		fault := vfs.NewFault(disk)
		fault.StopAfter(stop)
		if life > 0 {
			fault.StopAfter(b.rng.Int64N(80))
		}
		if err := b.live(fault); err != nil {
			return 0, fmt.Errorf("life %d: %w", life, err)
		}
		if life == 0 {
			ops = fault.Ops()
			b.rng = rand.New(rand.NewPCG(seed, uint64(stop)+2))
		}
		if b.rng.IntN(5) > 0 { // otherwise only the process died
			loss := vfs.Loss{}
			if b.rng.IntN(4) > 0 {
				loss.Rand = b.rng
			}
			disk = disk.Crash(loss)
		}
	}
	return ops, b.recover(disk)
}

// live recovers and runs the workload until it ends or the disk stops.
func (b *broker) live(fsys vfs.FS) error {
	err := b.recover(fsys)
	for i := 0; err == nil && i < 60; i++ {
		if err = b.step(); err == nil && i%20 == 0 {
			err = b.model.compare(b.log)
		}
	}
	if isStopped(err) {
		return nil
	}
	return err
}

// TestRandomHistory compares a log with its model after every step.
func TestRandomHistory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		disk := vfs.NewMem()
		must(t, vfs.MkdirAllSync(disk, "data"))
		b := &broker{fs: disk, rng: rand.New(rand.NewPCG(seed, 7)), log: mustOpen(t, small(disk)), marks: map[string]model{}}
		for i := range 150 {
			if err := b.step(); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, i, err)
			}
			if err := b.model.compare(b.log); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, i, err)
			}
		}
	}
}
