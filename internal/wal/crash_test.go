package wal

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/chronik-project/chronik/internal/vfs"
)

// TestCrashAtEveryByte tears the last, unsynced round at each of its bytes.
func TestCrashAtEveryByte(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	d, _, _ := mustStart(t, small(disk), 0)
	for i := range 3 {
		must(t, d.append(payload(i, 50), false))
	}
	must(t, d.round())
	for i := range 3 {
		must(t, d.append(payload(3+i, 10*i), false))
	}
	r := d.takeRound()
	must(t, d.write(t.Context(), r))

	frames := int64(len(r.buf))
	recovered := map[int]int{}
	for torn := range disk.UnsyncedBytes() + 1 {
		after := disk.Crash(vfs.Loss{KeepBytes: torn})
		d2, got, res := mustStart(t, small(after), 0)
		if err := checkPrefix(got, d.sent, 3); err != nil || res.Corrupt {
			t.Fatalf("torn at %d: %v, %+v", torn, err, res)
		}
		recovered[len(got)]++
		if torn >= frames && len(got) != 6 {
			t.Fatalf("torn at %d: %d frames, all %d bytes of 6 frames were kept", torn, len(got), frames)
		}
		checkGoesOn(t, after, d2, got)
	}
	for n := 3; n <= 6; n++ {
		if recovered[n] == 0 {
			t.Errorf("no crash left exactly %d frames: %v", n, recovered)
		}
	}
}

// checkGoesOn appends to a recovered log, loses power again, and finds what was
// recovered and what was added, and nothing of what was torn.
func checkGoesOn(t *testing.T, disk *vfs.Mem, d *driver, got []Frame) {
	t.Helper()
	for _, f := range got {
		d.sent = append(d.sent, f.Payload)
	}
	before := len(d.sent)
	for i := range 2 {
		must(t, d.append(payload(100+i, 10*i), false))
	}
	must(t, d.round())
	_, again, res := mustStart(t, small(disk.Crash(vfs.Loss{})), 0)
	if err := checkPrefix(again, d.sent, int64(before+2)); err != nil || res.Corrupt {
		t.Fatalf("second recovery: %v, %+v", err, res)
	}
}

// history is a seeded workload: appends, rounds, checkpoints and their
// releases. It stops at the first error, as a broker would.
type history struct {
	*driver
	rng        *rand.Rand
	checkpoint LSN // durable by definition; frames below are forgotten
	forgotten  int // how many of sent lie below the checkpoint
	ends       []LSN
}

func (h *history) run(steps int) error {
	for range steps {
		switch n := h.rng.IntN(10); {
		case n < 6:
			async := h.rng.IntN(4) == 0
			if err := h.append(payload(len(h.sent), h.rng.IntN(1500)), async); err != nil {
				return err
			}
			h.ends = append(h.ends, h.End())
			// Rounds fit into a file: upkeep runs between them only.
			if len(h.filling.buf) > 8<<10 {
				if err := h.round(); err != nil {
					return err
				}
			}
		case n < 9:
			if err := h.round(); err != nil {
				return err
			}
		default:
			if err := h.release(); err != nil {
				return err
			}
		}
	}
	return nil
}

// release makes a checkpoint of all that is durable.
func (h *history) release() error {
	durable := h.Durable()
	for h.forgotten < len(h.ends) && h.ends[h.forgotten] <= durable {
		h.forgotten++
	}
	h.checkpoint = durable
	if err := h.Release(durable); err != nil {
		return err
	}
	return h.tend()
}

// TestCrashAfterEveryOperation stops a seeded workload after each operation on
// the file system, loses power with a random part of what was not synced, and
// recovers, several times in a row.
func TestCrashAfterEveryOperation(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
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

// crashHistory runs one workload up to an operation, recovers, and goes on for
// two more short lives. It returns how many operations the first life had.
func crashHistory(seed uint64, stop int64) (ops int64, err error) {
	rng := rand.New(rand.NewPCG(seed, uint64(stop)))
	disk := vfs.NewMem()
	h := &history{rng: rand.New(rand.NewPCG(seed, 1))}
	for life := range 3 {
		fault := vfs.NewFault(disk)
		if life == 0 {
			fault.StopAfter(stop)
		} else {
			fault.StopAfter(rng.Int64N(60))
		}
		if err := h.live(fault); err != nil {
			return 0, fmt.Errorf("life %d: %w", life, err)
		}
		if life == 0 {
			ops = fault.Ops()
		}
		loss := vfs.Loss{Rand: rng}
		if rng.IntN(4) == 0 {
			loss.Rand = nil
		}
		if rng.IntN(5) > 0 { // otherwise only the process died
			disk = disk.Crash(loss)
		}
	}
	return ops, nil
}

// live opens the log, compares what is replayed with what earlier lives
// appended, and runs the workload on.
func (h *history) live(fsys vfs.FS) error {
	var acked int64
	var sent [][]byte
	var ends []LSN
	if h.driver != nil {
		acked = h.told.end - int64(h.forgotten)
		sent, ends = h.sent[h.forgotten:], h.ends[h.forgotten:]
	}
	d, frames, res, err := start(small(fsys), h.checkpoint)
	if err != nil {
		return nil //nolint:nilerr // The file system was stopped before recovery ended: nothing to compare.
	}
	if res.Corrupt {
		return fmt.Errorf("corrupt: %+v", res)
	}
	if err := checkPrefix(frames, sent, acked); err != nil {
		return err
	}
	d.sent = slices.Clone(sent[:len(frames)])
	d.told.end = int64(len(frames)) // replay made them durable
	h.driver, h.forgotten, h.ends = d, 0, slices.Clone(ends[:len(frames)])
	for i, f := range frames {
		if f.End != ends[i] {
			return fmt.Errorf("frame %d ends at %d, was told %d", i, f.End, ends[i])
		}
	}
	if err := h.run(25); err != nil && !isStopped(err) {
		return err
	}
	return nil
}

// TestFramesThatLostTheirHeader keeps the frames of the first round in a file
// and not its header. The next process takes the file for unused and goes on
// from the same position: what is left of the old round must not follow the
// new frames.
func TestFramesThatLostTheirHeader(t *testing.T) {
	t.Parallel()
	const wholePage = pageBytes - frameHeaderBytes - len("000000:") // no padding behind it
	disk := vfs.NewMem()
	d, _, _ := mustStart(t, small(disk), 0)
	must(t, d.append(payload(0, 3500), false))
	must(t, d.round())
	for i := range 3 {
		must(t, d.append(payload(1+i, wholePage), false))
	}
	must(t, d.write(t.Context(), d.takeRound()))
	if d.cur.start == 0 {
		t.Fatal("the second round is in the first file")
	}
	content, err := vfs.ReadFile(disk, d.cur.path)
	must(t, err)
	disk = disk.Crash(vfs.Loss{})
	f, err := disk.OpenWrite(d.cur.path)
	must(t, err)
	_, err = f.WriteAt(content[fileHeaderBytes:], fileHeaderBytes)
	must(t, err)
	must(t, f.Sync())

	d, frames, _ := mustStart(t, small(disk), 0)
	if len(frames) != 1 {
		t.Fatalf("replayed %d frames, want 1", len(frames))
	}
	must(t, d.append(payload(9, wholePage), false))
	must(t, d.round())
	_, frames, res := mustStart(t, small(disk.Crash(vfs.Loss{})), 0)
	if err := checkPrefix(frames, [][]byte{payload(0, 3500), payload(9, wholePage)}, 2); err != nil || res.Corrupt {
		t.Errorf("%v, %+v", err, res)
	}
}
