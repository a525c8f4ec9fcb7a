package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/chronik-project/chronik/internal/vfs"
)

// opened opens a data directory and says what its identity is.
func opened(fsys vfs.FS) (identity, error) {
	d, _, err := openDataDir(fsys, "data", 1)
	if err != nil {
		return identity{}, err
	}
	id := d.id
	id.CleanShutdown, id.Checksum = false, ""
	return id, d.lock.Close()
}

// TestIdentityAtEveryOperation ends each start, adoption of a cluster id,
// renewal and shutdown at each operation on the disk, in each way, and starts
// again: there is the identity of before or that of after.
func TestIdentityAtEveryOperation(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]vfs.Rule{
		"power cut":   {Op: vfs.OpChange, Err: vfs.ErrStopped},
		"EIO":         {Op: vfs.OpChange, Times: 1, Err: syscall.EIO, Forget: true},
		"ENOSPC":      {Op: vfs.OpChange, Times: 1, Err: syscall.ENOSPC},
		"short write": {Op: vfs.OpWrite, Times: 1, Err: io.ErrShortWrite, Short: 30},
	} {
		for at := int64(0); ; at++ {
			disk := vfs.NewMem()
			fault := vfs.NewFault(disk)
			rule.After = at
			fault.Inject(rule)
			may := map[identity]bool{}
			d, _, err := openDataDir(fault, "data", 1)
			note := func() {
				id := d.id
				id.CleanShutdown, id.Checksum = false, ""
				may[id] = true
			}
			if err == nil {
				note()
				if err = d.adopt("c"); err == nil {
					clear(may)
				}
				note()
				if err == nil {
					err = d.close(true)
				} else if lock := d.lock.Close(); lock != nil {
					t.Error(lock)
				}
			}
			for _, what := range []string{"without power", "killed"} {
				left := disk
				if what == "without power" {
					left = disk.Crash(vfs.Loss{})
				}
				got, again := opened(left)
				if again != nil {
					t.Errorf("%s at %d (%v), %s: %v", name, at, err, what, again)
				} else if !may[got] && len(may) > 0 && (err == nil || got.ClusterID != "c") {
					t.Errorf("%s at %d (%v), %s: %+v, want one of %v", name, at, err, what, got, may)
				}
			}
			if fault.Ops() <= at {
				break
			}
		}
	}
}

// TestDamagedIdentity flips each bit of meta.json and cuts it at each length: it
// is the same, or the broker says which file is damaged and what to do.
func TestDamagedIdentity(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	d, _, err := openDataDir(disk, "data", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.adopt("q3VwH1bVQ0uXqkq1J4mHyA"), d.lock.Close()); err != nil {
		t.Fatal(err)
	}
	raw, err := vfs.ReadFile(disk, "data/meta.json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := opened(disk)
	if err != nil {
		t.Fatal(err)
	}
	try := func(how string, bad []byte) {
		t.Helper()
		damaged := vfs.NewMem()
		if err := errors.Join(vfs.MkdirAllSync(damaged, "data"), vfs.WriteFileAtomic(damaged, "data/meta.json", bad)); err != nil {
			t.Fatal(err)
		}
		got, err := opened(damaged)
		var start *StartError
		switch {
		case err == nil && got == want:
		case errors.As(err, &start) && strings.Contains(err.Error(), "meta.json"):
		default:
			t.Errorf("%s: %+v, %v", how, got, err)
		}
	}
	for at := range raw {
		for bit := range 8 {
			bad := bytes.Clone(raw)
			bad[at] ^= 1 << bit
			try(fmt.Sprintf("bit %d of byte %d (%q)", bit, at, raw[at]), bad)
		}
		try(fmt.Sprintf("cut to %d", at), raw[:at])
	}
}
