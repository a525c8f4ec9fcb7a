package meta

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/vfs"
)

var damageAll = flag.Bool("damage.all", false, "damage (nearly) every byte of the metadata log's files, not one of several")

// contents are the files of a directory by path.
func contents(t *testing.T, fsys vfs.FS, dir string, into map[string][]byte) map[string][]byte {
	t.Helper()
	names, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if _, isDir, err := fsys.Stat(path); err == nil && isDir {
			contents(t, fsys, path, into)
		} else if into[path], err = vfs.ReadFile(fsys, path); err != nil {
			t.Fatal(err)
		}
	}
	return into
}

// with puts files on a disk, one of them replaced; nil leaves it out.
func with(t *testing.T, files map[string][]byte, path string, content []byte) *vfs.Mem {
	t.Helper()
	disk := vfs.NewMem()
	for name, was := range files {
		if name == path {
			was = content
		}
		if was == nil {
			continue
		}
		f, err := disk, disk.MkdirAll(filepath.Dir(name))
		if err == nil {
			file, err2 := f.Create(name)
			if err = err2; err == nil {
				_, err = file.WriteAt(was, 0)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return disk
}

// TestDamagedStore damages each file of a stopped voter: each bit flipped, cut at
// each length, put back to what it was, or removed. The voter must refuse to
// start, or know all that it has confirmed: a second may be missing at the end
// of its log, and never its term.
func TestDamagedStore(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l, err := openOn(disk)
	if err != nil {
		t.Fatal(err)
	}
	v := &voter{rng: rand.New(rand.NewPCG(7, 1)), now: voterState{first: 1}}
	var stale []map[string][]byte
	for range 90 {
		if err := v.step(l); err != nil {
			t.Fatal(err)
		}
		stale = append(stale, contents(t, disk, "raft", map[string][]byte{}))
	}
	l.at = time.Time{}
	if err := l.note(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files := contents(t, disk, "raft", map[string][]byte{})
	if err := v.reopen(with(t, files, "", nil)); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	try := func(how, path string, content []byte) {
		t.Helper()
		verdict := "harmless"
		if err := v.reopen(with(t, files, path, content)); errors.Is(err, ErrDamaged) {
			verdict = "refused"
		} else if err != nil {
			verdict = "unnoticed"
			t.Errorf("%s %s: %v", path, how, err)
		}
		kind := filepath.Base(path)
		if filepath.Ext(kind) == ".wal" {
			kind = "*.wal"
		}
		counts[fmt.Sprintf("%s %s: %s", kind, how[:3], verdict)]++
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		content := files[path]
		stride, first := 1, 0
		if !*damageAll {
			stride = max(len(content)/150, 1) | 1
			first = rand.IntN(stride)
		}
		for at := first; at < len(content); at += stride {
			if *damageAll && content[at] == 0 && at%97 != 0 {
				continue // mostly room that was never used
			}
			bad := slices.Clone(content)
			bad[at] ^= 1 << rand.IntN(8)
			try(fmt.Sprint("flipped at ", at), path, bad)
			try(fmt.Sprint("cut to ", at), path, content[:at:at])
		}
		try("removed", path, nil)
	}
	for i, old := range stale {
		for path, content := range old {
			if string(content) != string(files[path]) {
				try(fmt.Sprintf("old, of step %d", i), path, content)
			}
		}
	}
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%6d %s", counts[what], what)
	}
}
