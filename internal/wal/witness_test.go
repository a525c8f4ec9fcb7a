package wal

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/vfs"
)

// TestWitnessIsWritten comes a second after the first frame that it does not
// cover, and no more often.
func TestWitnessIsWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		l := run(t, small(disk))
		said := func() LSN {
			t.Helper()
			lsn, _, err := readWitness(disk.Crash(vfs.Loss{}), testDir)
			must(t, err)
			return lsn
		}
		for range 4 {
			before := said()
			end, err := l.Append(Entry{Kind: KindAppend, TP: testTP, Payload: payload(1, 10)})
			must(t, err)
			must(t, l.WaitSynced(t.Context(), end))
			time.Sleep(witnessInterval - time.Millisecond)
			synctest.Wait()
			if got := said(); got != before {
				t.Errorf("too early: %d, was %d", got, before)
			}
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			if got := said(); got != end {
				t.Errorf("witness of %d, want %d", got, end)
			}
		}
		must(t, l.stop())
	})
}

// TestWitness compares what is left of a log with what its witness says.
func TestWitness(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	d, _, _ := mustStart(t, small(disk), 0)
	for i := range 3 {
		must(t, d.append(payload(i, 20), false))
		must(t, d.round())
	}
	middle := d.Durable()
	must(t, d.append(payload(3, 20), false))
	must(t, d.round())
	end, file := d.Durable(), d.cur.path
	flipped := func(m *vfs.Mem) { must(t, m.FlipBit(file, 8*(fileHeaderBytes+int64(middle)+frameHeaderBytes))) }
	for _, tc := range []struct {
		name    string
		witness LSN
		damage  func(*vfs.Mem)
		corrupt bool
	}{
		{name: "sound", witness: end, damage: func(*vfs.Mem) {}},
		{name: "last round damaged", witness: end, damage: flipped, corrupt: true},
		{name: "last round damaged, not witnessed", witness: middle, damage: flipped},
		{name: "file removed", witness: middle, damage: func(m *vfs.Mem) { must(t, m.Remove(file)) }, corrupt: true},
		{name: "witness damaged as well", witness: end, damage: func(m *vfs.Mem) {
			flipped(m)
			must(t, m.FlipBit(testDir+"/"+witnessName, 8*17))
		}},
	} {
		after := disk.Crash(vfs.Loss{})
		l := &Log{o: small(after).withDefaults()}
		must(t, l.writeWitness(tc.witness))
		tc.damage(after)
		d, _, res := mustStart(t, small(after), 0)
		if res.Corrupt != tc.corrupt {
			t.Errorf("%s: %+v, want corrupt %v", tc.name, res, tc.corrupt)
		}
		if tc.corrupt && d.End() < tc.witness {
			t.Errorf("%s: goes on at %d, where frames have been", tc.name, d.End())
		}
	}
}

// TestWitnessTorn tears the write of the witness at each byte: it says what it
// said before, or more.
func TestWitnessTorn(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	must(t, vfs.MkdirAllSync(disk, testDir))
	l := &Log{o: small(disk).withDefaults()}
	for i := LSN(1); i < 6; i++ {
		must(t, l.writeWitness(8*i))
		fault := vfs.NewFault(disk)
		fault.Inject(vfs.Rule{Op: vfs.OpSync, Err: vfs.ErrStopped})
		dying := &Log{o: small(fault).withDefaults(), witnessSlot: l.witnessSlot}
		if err := dying.writeWitness(8*i + 8); !errors.Is(err, vfs.ErrStopped) {
			t.Fatal(err)
		}
		for keep := range disk.UnsyncedBytes() + 1 {
			lsn, free, err := readWitness(disk.Crash(vfs.Loss{KeepBytes: keep}), testDir)
			if err != nil || lsn != 8*i && lsn != 8*i+8 || lsn == 8*i && free != l.witnessSlot {
				t.Errorf("torn at %d: %d, then slot %d, %v", keep, lsn, free, err)
			}
		}
	}
}
