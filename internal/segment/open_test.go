package segment

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/chronik-project/chronik/internal/vfs"
)

func TestLayout(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		found string
		mark  Mark
		want  string
	}{
		{name: "nothing", mark: Mark{}, want: "[]"},
		{name: "one generation", found: "0-0 100-0 200-0", mark: Mark{End: 250}, want: "[0-0 100-0 200-0]"},
		{name: "rolled behind the mark", found: "0-0 100-0 200-0", mark: Mark{End: 200}, want: "[0-0 100-0]"},
		{name: "later generation", found: "0-0 50-1", mark: Mark{End: 100}, want: "[0-0]"},
		{name: "cut in the middle", found: "0-0 100-0 200-0 150-1", mark: Mark{End: 170, Generation: 1}, want: "[0-0 100-0 150-1]"},
		{name: "cut at a base", found: "0-0 100-0 100-1", mark: Mark{End: 170, Generation: 1}, want: "[0-0 100-1]"},
		{name: "cut twice, deeper", found: "0-0 100-0 150-1 50-2", mark: Mark{End: 60, Generation: 2}, want: "[0-0 50-2]"},
		{name: "cut twice, less deep", found: "0-0 50-1 70-1 80-2", mark: Mark{End: 90, Generation: 2}, want: "[0-0 50-1 70-1 80-2]"},
		{name: "cut and not written since", found: "0-0 100-0", mark: Mark{End: 50, Generation: 1}, want: "[0-0]"},
		{name: "expired", found: "0-0 100-0 200-0", mark: Mark{Start: 100, End: 250}, want: "[100-0 200-0]"},
		{name: "start within a file", found: "0-0 100-0 200-0", mark: Mark{Start: 199, End: 250}, want: "[100-0 200-0]"},
		{name: "empty log", found: "0-0 100-0", mark: Mark{Start: 150, End: 150}, want: "[]"},
		{name: "reset forward", found: "0-0 100-0 500-1", mark: Mark{Start: 500, End: 510, Generation: 1}, want: "[500-1]"},
		{name: "reset backward", found: "300-0 400-0 100-1", mark: Mark{Start: 100, End: 110, Generation: 1}, want: "[100-1]"},
	} {
		var found []fileName
		for s := range strings.FieldsSeq(tc.found) {
			var n fileName
			_, err := fmt.Sscanf(s, "%d-%d", &n.base, &n.generation)
			must(t, err)
			found = append(found, n)
		}
		keep, remove := layout(found, tc.mark)
		got := []string{}
		for _, n := range keep {
			got = append(got, fmt.Sprintf("%d-%d", n.base, n.generation))
		}
		if fmt.Sprint(got) != tc.want || len(keep)+len(remove) != len(found) {
			t.Errorf("%s: keeps %v, want %s; removes %v", tc.name, got, tc.want, remove)
		}
	}
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	n := fileName{base: 42, generation: 7}
	if got, ok := parseFileName("00000000000000000042-000007.log"); got != n || !ok {
		t.Errorf("parsed %v, %v", got, ok)
	}
	for _, s := range []string{"42-7.log", "00000000000000000042-000007.index", "00000000000000000042.log", "-0000000000000000042-000007.log", "failed"} {
		if n, ok := parseFileName(s); ok {
			t.Errorf("%s was parsed as %v", s, n)
		}
	}
}

// TestOpenGoesBackToTheMark writes on after a checkpoint, in both files and
// memory, and opens the log as of the checkpoint.
func TestOpenGoesBackToTheMark(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l := mustOpen(t, small(disk))
	fill(t, l, 20, 1)
	m := checkpoint(t, l)
	want, err := readAll(l)
	must(t, err)
	fill(t, l, 40, 2)
	must(t, l.Flush())
	l = mustOpen(t, small(disk).at(m))
	got, err := readAll(l)
	must(t, err)
	if string(got) != string(want) || l.EndOffset() != 60 {
		t.Errorf("%d bytes up to %d, want %d up to 60", len(got), l.EndOffset(), len(want))
	}
	names, err := disk.ReadDir(testDir)
	must(t, err)
	if len(names) != 4 {
		t.Errorf("files %v, want those of two segments", names)
	}
	if l.Dirty() {
		t.Error("dirty although nothing differs from the mark")
	}
}

// TestOpenFindsDamage changes what a checkpoint has made durable.
func TestOpenFindsDamage(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	l := mustOpen(t, small(disk))
	fill(t, l, 20, 1)
	m := checkpoint(t, l)
	segments := l.Segments()
	if len(segments) != 2 {
		t.Fatalf("%d segments, want 2", len(segments))
	}
	first, last := fileName{}, fileName{base: segments[1].Base}
	change := func(name string, f func(vfs.File) error) func(d *vfs.Mem) error {
		return func(d *vfs.Mem) error {
			file, err := d.OpenWrite(name)
			if err != nil {
				return err
			}
			return errors.Join(f(file), file.Sync(), file.Close())
		}
	}
	for _, tc := range []struct {
		name    string
		damage  func(d *vfs.Mem) error
		wantErr error
	}{
		{name: "none", damage: func(*vfs.Mem) error { return nil }},
		{name: "last file gone", damage: func(d *vfs.Mem) error { return d.Remove(last.logPath(testDir)) }, wantErr: ErrCorrupt},
		{name: "first file gone", damage: func(d *vfs.Mem) error { return d.Remove(first.logPath(testDir)) }, wantErr: ErrCorrupt},
		{name: "directory gone", damage: func(d *vfs.Mem) error { return d.RemoveAll(testDir) }, wantErr: ErrCorrupt},
		{name: "last file a byte short", damage: change(last.logPath(testDir), func(f vfs.File) error { return f.Truncate(segments[1].Bytes - 1) }), wantErr: ErrCorrupt},
		{name: "first file a byte short", damage: change(first.logPath(testDir), func(f vfs.File) error { return f.Truncate(segments[0].Bytes - 1) }), wantErr: ErrCorrupt},
		{name: "bit in the last batch", damage: func(d *vfs.Mem) error { return d.FlipBit(last.logPath(testDir), segments[1].Bytes*8-1) }, wantErr: ErrCorrupt},
		{name: "bit in the last length", damage: func(d *vfs.Mem) error {
			return d.FlipBit(last.logPath(testDir), (segments[1].Bytes-int64(len(batch(57, 3, 1, 4)))+8)*8)
		}, wantErr: ErrCorrupt},
		{name: "index gone", damage: func(d *vfs.Mem) error { return d.Remove(last.indexPath(testDir)) }},
		{name: "index of a sealed file gone", damage: func(d *vfs.Mem) error { return d.Remove(first.indexPath(testDir)) }},
		{name: "index header damaged", damage: func(d *vfs.Mem) error { return d.FlipBit(first.indexPath(testDir), 3) }},
		{name: "index entry damaged", damage: func(d *vfs.Mem) error {
			return d.FlipBit(first.indexPath(testDir), (indexHeaderBytes+indexEntryBytes)*8)
		}},
		{name: "index short", damage: change(first.indexPath(testDir), func(f vfs.File) error { return f.Truncate(indexHeaderBytes + 30) })},
		{name: "index with more than it should", damage: change(first.indexPath(testDir), func(f vfs.File) error { return f.Truncate(4096) })},
		{name: "index that misleads", damage: change(first.indexPath(testDir), func(f vfs.File) error {
			seed := indexSeed(encodeIndexHeader(0, 0))
			_, err := f.WriteAt(appendIndexEntry(nil, indexEntry{offset: 6, position: 100}, seed), indexHeaderBytes)
			return errors.Join(err, f.Truncate(indexHeaderBytes+indexEntryBytes))
		})},
	} {
		after := disk.Crash(vfs.Loss{})
		must(t, tc.damage(after))
		got, err := Open(small(after).at(m))
		if !errors.Is(err, tc.wantErr) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.wantErr)
		}
		if err != nil {
			continue
		}
		fill(t, got, 20, 2)
		must(t, got.Flush())
		got.TrimTail(0)
		if _, err := readAll(got); err != nil {
			t.Errorf("%s: read: %v", tc.name, err)
		}
		for offset := range got.EndOffset() {
			if _, err := got.Read(offset, 100, 200, true); err != nil {
				t.Errorf("%s: read from %d: %v", tc.name, offset, err)
			}
		}
	}
}

// FuzzOpen takes any bytes for a log file and its index: they are refused or
// read, but nothing panics.
func FuzzOpen(f *testing.F) {
	var good []byte
	for base := range int64(4) {
		good = append(good, batch(3*base, 3, 1, 4)...)
	}
	f.Add(good, []byte{}, int64(12))
	f.Add(good[:100], encodeIndexHeader(0, 0), int64(12))
	f.Add(good, appendIndexEntry(encodeIndexHeader(0, 0), indexEntry{offset: 3, position: 94}, indexSeed(encodeIndexHeader(0, 0))), int64(9))
	f.Fuzz(func(t *testing.T, log, index []byte, end int64) {
		if end < 0 {
			return
		}
		disk := vfs.NewMem()
		must(t, vfs.MkdirAllSync(disk, testDir))
		for name, content := range map[string][]byte{fileName{}.logPath(testDir): log, fileName{}.indexPath(testDir): index} {
			file, err := disk.Create(name)
			must(t, err)
			_, err = file.WriteAt(content, 0)
			must(t, err)
		}
		l, err := Open(small(disk).at(Mark{End: end}))
		if err != nil {
			return
		}
		if got, err := readAll(l); err != nil && !errors.Is(err, ErrCorrupt) && len(got) > len(log) {
			t.Errorf("%d bytes of %d, %v", len(got), len(log), err)
		}
	})
}
