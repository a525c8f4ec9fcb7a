//go:build faults && linux

package disk

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chronik-project/chronik/internal/vfs"
)

// pair does the same on a Faulty disk and in the product's model of a disk.
type pair struct {
	t    *testing.T
	seed uint64
	rng  *rand.Rand
	real *Faulty
	mem  *vfs.Mem
	log  []string
}

func (p *pair) both(what string, do func(fsys vfs.FS, root string) error) {
	p.t.Helper()
	a, b := do(vfs.OS(), p.real.Dir()), do(p.mem, ".")
	p.log = append(p.log, fmt.Sprintf("%s: %v", what, b))
	if (a == nil) != (b == nil) {
		p.t.Fatalf("seed %d: %s\non the disk: %v\nin the model: %v", p.seed, strings.Join(p.log, "\n"), a, b)
	}
}

// step is a random operation on a few names.
func (p *pair) step() {
	dir := []string{"d", "d/sub"}[p.rng.IntN(2)] // few, so that operations meet
	name, other := fmt.Sprint(dir, "/", p.rng.IntN(2)), fmt.Sprint(dir, "/", p.rng.IntN(2))
	off, size := p.rng.Int64N(3000), p.rng.IntN(2000)
	content := make([]byte, size)
	for i := range content {
		content[i] = byte('a' + p.rng.IntN(26))
	}
	onFile := func(what string, do func(f vfs.File) error) {
		p.both(what+" "+name, func(fsys vfs.FS, root string) error {
			f, err := fsys.OpenWrite(filepath.Join(root, name))
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }()
			return do(f)
		})
	}
	switch p.rng.IntN(12) {
	case 0:
		p.both("mkdir "+dir, func(fsys vfs.FS, root string) error { return fsys.MkdirAll(filepath.Join(root, dir)) })
	case 1, 2:
		p.both("create "+name, func(fsys vfs.FS, root string) error {
			f, err := fsys.Create(filepath.Join(root, name))
			if err != nil {
				return err
			}
			return f.Close()
		})
	case 3:
		p.both("rename "+name+" to "+other, func(fsys vfs.FS, root string) error {
			return fsys.Rename(filepath.Join(root, name), filepath.Join(root, other))
		})
	case 4:
		p.both("remove "+name, func(fsys vfs.FS, root string) error { return fsys.Remove(filepath.Join(root, name)) })
	case 5:
		onFile(fmt.Sprint("truncate to ", off), func(f vfs.File) error { return f.Truncate(off) })
	case 6, 7:
		onFile("sync", vfs.File.Sync)
	case 8:
		for _, d := range []string{".", dir} {
			p.both("sync directory "+d, func(fsys vfs.FS, root string) error { return fsys.SyncDir(filepath.Join(root, d)) })
		}
	default:
		onFile(fmt.Sprint("write ", size, " at ", off), func(f vfs.File) error {
			_, err := f.WriteAt(content, off)
			return err
		})
	}
}

// contents are all files below a root, and directories as empty ones.
func contents(t *testing.T, fsys vfs.FS, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	var walk func(dir string)
	walk = func(dir string) {
		names, err := fsys.ReadDir(filepath.Join(root, dir))
		must(t, err)
		for _, name := range names {
			path := filepath.Join(dir, name)
			_, isDir, err := fsys.Stat(filepath.Join(root, path))
			must(t, err)
			if isDir {
				all[path+"/"] = ""
				walk(path)
				continue
			}
			content, err := vfs.ReadFile(fsys, filepath.Join(root, path))
			must(t, err)
			all[path] = string(content)
		}
	}
	walk(".")
	return all
}

// TestFaultyLosesWhatTheModelLoses compares a Faulty disk with vfs.Mem, which
// the product's own crash tests rely on, through random operations and cuts.
func TestFaultyLosesWhatTheModelLoses(t *testing.T) {
	survived := 0
	for seed := range uint64(60) {
		p := &pair{
			t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), mem: vfs.NewMem(),
			real: NewFaulty(t, FaultyOptions{LoseUnsynced: true}),
		}
		for range 3 {
			for range 10 + p.rng.IntN(40) {
				p.step()
			}
			if a, b := contents(t, vfs.OS(), p.real.Dir()), contents(t, p.mem, "."); !maps.Equal(a, b) {
				t.Fatalf("seed %d, live:\n%s\n%q\n%q", seed, strings.Join(p.log, "\n"), a, b)
			}
			must(t, p.real.PowerCut())
			must(t, p.real.Remount())
			p.mem = p.mem.Crash(vfs.Loss{})
			p.log = append(p.log, "power cut")
			a, b := contents(t, vfs.OS(), p.real.Dir()), contents(t, p.mem, ".")
			if !maps.Equal(a, b) {
				t.Fatalf("seed %d:\n%s\non the disk %q\nin the model %q", seed, strings.Join(p.log, "\n"), a, b)
			}
			survived += len(a)
		}
		must(t, p.real.close())
	}
	if survived < 100 {
		t.Errorf("%d names survived in all: little is tested", survived)
	}
}

// TestFaultyRandomLoss tears between sectors, and keeps names in their order.
func TestFaultyRandomLoss(t *testing.T) {
	states, names, cut := map[string]bool{}, map[string]bool{}, map[int]bool{}
	for seed := range uint64(80) {
		d := NewFaulty(t, FaultyOptions{LoseUnsynced: true})
		d.SetLoss(Loss{Rand: rand.New(rand.NewPCG(seed, 1))})
		file := filepath.Join(d.Dir(), "f")
		put(t, filepath.Join(d.Dir(), "g"), strings.Repeat("-", 2000), true)
		put(t, file, strings.Repeat("-", 2000), true)
		must(t, os.Truncate(filepath.Join(d.Dir(), "g"), 100))
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		must(t, err)
		_, err = f.WriteAt([]byte(strings.Repeat("x", 1500)), 200)
		must(t, err)
		must(t, f.Close())
		for i := range 3 {
			put(t, filepath.Join(d.Dir(), fmt.Sprint(i)), "", false)
		}
		must(t, d.PowerCut())
		must(t, d.Remount())
		got := get(file)
		states[got] = true
		for i := 1; i < len(got); i++ {
			if i%sectorBytes != 0 && i != 200 && i != 1700 && got[i] != got[i-1] {
				t.Fatalf("seed %d: torn within a sector, at %d", seed, i)
			}
		}
		cut[len(get(filepath.Join(d.Dir(), "g")))] = true
		left := fmt.Sprint(contentsNames(t, d.Dir()))
		names[left] = true
		must(t, d.close())
	}
	if len(states) < 8 {
		t.Errorf("%d of 16 possible contents", len(states))
	}
	want := map[string]bool{"[f g]": true, "[0 f g]": true, "[0 1 f g]": true, "[0 1 2 f g]": true}
	if !maps.Equal(names, want) {
		t.Errorf("names left: %v", names)
	}
	if !maps.Equal(cut, map[int]bool{100: true, 2000: true}) {
		t.Errorf("sizes of the truncated file: %v", cut)
	}
}

func contentsNames(t *testing.T, dir string) []string {
	t.Helper()
	names, err := vfs.OS().ReadDir(dir)
	must(t, err)
	return names
}
