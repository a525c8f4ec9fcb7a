package wal

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/vfs"
)

const testDir = "data/wal"

// small are options under which a few frames fill a file.
func small(fsys vfs.FS) Options {
	return Options{FS: fsys, Dir: testDir, FileBytes: 16 << 10, FirstFileBytes: 8 << 10}
}

// driver does by hand, one step after the other, what Run and its upkeep do in
// goroutines, so that a crash can be placed between any two operations.
type driver struct {
	*Log
	upkeep *upkeep
	told   told     // of what is on disk
	wrote  told     // of async entries, which are only written
	sent   [][]byte // payloads in the order of their appends
}

// told is a Notifier that remembers the largest end.
type told struct{ end int64 }

func (s *told) Synced(_ uint64, end int64) { s.end = max(s.end, end) }

// start opens and replays a log. It returns what was replayed.
func start(o Options, from LSN) (*driver, []Frame, ReplayResult, error) {
	l, err := Open(o)
	if err != nil {
		return nil, nil, ReplayResult{}, err
	}
	var frames []Frame
	res, err := l.Replay(from, func(f Frame) error {
		frames = append(frames, f)
		return nil
	})
	if err != nil {
		return nil, nil, res, err
	}
	return &driver{Log: l, upkeep: &upkeep{log: l}}, frames, res, nil
}

func mustStart(t testing.TB, o Options, from LSN) (*driver, []Frame, ReplayResult) {
	t.Helper()
	d, frames, res, err := start(o, from)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return d, frames, res
}

// append adds a payload; its number is what told hears.
func (d *driver) append(payload []byte, async bool) error {
	e := Entry{
		Kind: KindAppend, TP: testTP, Payload: payload, Async: async,
		Notify: &d.told, End: int64(len(d.sent) + 1),
	}
	if async {
		e.Notify = &d.wrote
	}
	_, err := d.Append(e)
	if err == nil {
		d.sent = append(d.sent, payload)
	}
	return err
}

// round commits what was appended and lets upkeep finish its work.
func (d *driver) round() error {
	select {
	case <-d.wake:
	default:
	}
	if err := d.tend(); err != nil {
		return err
	}
	return d.commit(context.Background())
}

func (d *driver) tend() error {
	for {
		more, err := d.upkeep.step()
		if err != nil || !more {
			return err
		}
	}
}

var testTP = cluster.TopicPartition{
	TopicID:   cluster.UUID{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf},
	Partition: 7,
}

// payload is recognisable and of some length.
func payload(i, n int) []byte {
	return append(fmt.Appendf(nil, "%06d:", i), bytes.Repeat([]byte{byte('a' + i%26)}, n)...)
}

// checkPrefix verifies that frames are the first ones of sent, at least so
// many of them, and nothing else.
func checkPrefix(frames []Frame, sent [][]byte, atLeast int64) error {
	if len(frames) > len(sent) {
		return fmt.Errorf("replayed %d frames, only %d were appended", len(frames), len(sent))
	}
	if int64(len(frames)) < atLeast {
		return fmt.Errorf("replayed %d frames, %d were reported synced", len(frames), atLeast)
	}
	for i, f := range frames {
		if !bytes.Equal(f.Payload, sent[i]) {
			return fmt.Errorf("frame %d is %.20q, appended was %.20q", i, f.Payload, sent[i])
		}
	}
	return nil
}
