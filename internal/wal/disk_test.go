package wal

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/chronik-project/chronik/internal/vfs"
)

// TestOnDisk runs a log on the file system of the machine, through recycling
// and a restart.
func TestOnDisk(t *testing.T) {
	t.Parallel()
	o := Options{FS: vfs.OS(), Dir: t.TempDir(), FileBytes: 64 << 10, FirstFileBytes: 16 << 10}
	l := run(t, o)
	var from LSN
	var sent int
	for i := range 200 {
		must(t, l.Reserve(t.Context(), 1007))
		end, err := l.Append(Entry{Kind: KindAppend, TP: testTP, Payload: payload(i, 1000)})
		must(t, err)
		if i%20 == 0 {
			must(t, l.WaitSynced(t.Context(), end))
			must(t, l.Release(end))
			from, sent = end, i+1
		}
	}
	must(t, l.stop())
	d, frames, res := mustStart(t, o, from)
	if len(frames) != 200-sent || res.Corrupt || res.TornBytes != 0 {
		t.Errorf("%d frames, %+v; want %d", len(frames), res, 200-sent)
	}
	for i, f := range frames {
		if string(f.Payload) != string(payload(sent+i, 1000)) {
			t.Errorf("frame %d is %.10q", i, f.Payload)
		}
	}
	must(t, d.Close())
}

// TestLargeFrame does not fit into the first file, nor into the rest of one.
func TestLargeFrame(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l := run(t, small(disk))
	if _, err := l.Append(Entry{Kind: KindAppend, Payload: make([]byte, l.MaxPayload()+1)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("append of more than the limit: %v", err)
	}
	for _, n := range []int{6 << 10, l.MaxPayload() - 7, 10, l.MaxPayload() - 7} {
		end, err := l.Append(Entry{Kind: KindAppend, Payload: payload(n, n)})
		must(t, err)
		must(t, l.WaitSynced(t.Context(), end))
	}
	must(t, l.stop())
	_, frames, res := mustStart(t, small(disk.Crash(vfs.Loss{})), 0)
	if len(frames) != 4 || res.Corrupt {
		t.Errorf("%d frames, %+v; want 4", len(frames), res)
	}
}

// TestStopOnFullDisk ends although a round cannot be written.
func TestStopOnFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		g := &gate{FS: disk, tokens: make(chan struct{})}
		l := run(t, small(g))
		var told counter
		synctest.Wait()
		disk.SetFree(0)
		for i := range 40 { // more than the files that are ready hold
			_, err := l.Append(Entry{Kind: KindAppend, Payload: payload(i, 1000), Notify: &told, End: int64(i + 1)})
			must(t, err)
		}
		close(g.tokens)
		synctest.Wait()
		if !l.Stats().NoSpace {
			t.Error("the log does not say that the disk is full")
		}
		if err := l.stop(); !errors.Is(err, ErrNoSpace) {
			t.Errorf("run: %v, want ErrNoSpace", err)
		}
		if err := l.WaitSynced(context.Background(), l.End()); !errors.Is(err, ErrClosed) {
			t.Errorf("wait: %v, want ErrClosed", err)
		}
		_, frames, _ := mustStart(t, small(disk.Crash(vfs.Loss{})), 0)
		if int64(len(frames)) < told.end.Load() {
			t.Errorf("%d frames, told of %d", len(frames), told.end.Load())
		}
	})
}

// FuzzScan puts any bytes behind a good header, and behind a good frame: what
// is delivered has been encoded, and nothing panics.
func FuzzScan(f *testing.F) {
	frame := func(lsn LSN, durable LSN) []byte {
		e := Entry{Kind: KindAppend, TP: testTP, Payload: []byte("payload")}
		p := make([]byte, frameBytes(len(e.Payload)))
		putFrame(p, &e, lsn)
		sealFrames(p, 1<<20, seedOf(1), durable)
		return p
	}
	first := frame(0, 0)
	f.Add([]byte{})
	f.Add(frame(LSN(len(first)), 0))
	f.Add(append(make([]byte, len(first)), frame(LSN(2*len(first)), LSN(2*len(first)))...))
	f.Fuzz(func(t *testing.T, tail []byte) {
		disk := vfs.NewMem()
		must(t, vfs.MkdirAllSync(disk, testDir))
		file, err := disk.Create(testDir + "/" + fileName(1))
		must(t, err)
		content := append(append(encodeFileHeader(1, 0), first...), tail...)
		_, err = file.WriteAt(content, 0)
		must(t, err)
		n := LSN(0)
		res, err := Scan(disk, testDir, 0, func(fr Frame) error {
			if fr.LSN != n || len(fr.Payload) > len(content) {
				t.Errorf("frame at %d of %d bytes, want one at %d", fr.LSN, len(fr.Payload), n)
			}
			n = fr.End
			return nil
		})
		if err != nil || n < LSN(len(first)) || res.End < n {
			t.Errorf("%+v, %v; frames up to %d", res, err, n)
		}
	})
}
