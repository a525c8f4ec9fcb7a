package partition

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chronik-project/chronik/internal/segment"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// tree is the content of a data directory by path.
type tree map[string][]byte

func readTree(t *testing.T, fsys vfs.FS, dir string, into tree) tree {
	t.Helper()
	names, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if _, isDir, err := fsys.Stat(path); err != nil {
			t.Fatal(err)
		} else if isDir {
			readTree(t, fsys, path, into)
			continue
		}
		if into[path], err = vfs.ReadFile(fsys, path); err != nil {
			t.Fatal(err)
		}
	}
	return into
}

// disk is a tree on a file system, with one file replaced; nil leaves it out.
func (tr tree) disk(t *testing.T, path string, content []byte) *vfs.Mem {
	t.Helper()
	disk := vfs.NewMem()
	write := func(path string, content []byte) {
		err := disk.MkdirAll(filepath.Dir(path))
		f, err2 := disk.Create(path)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(content, 0); err != nil {
			t.Fatal(err)
		}
	}
	for other, content := range tr {
		if other != path {
			write(other, content)
		}
	}
	if content != nil {
		write(path, content)
	}
	return disk
}

// victim is a data directory that was left by a kill, and what it holds.
type victim struct {
	files   tree
	stale   []tree // as they were earlier
	ledgers []*ledger
	failed  *ledger // had failed when the process died
	durable wal.LSN
	proven  wal.LSN // a frame of a later round says so
}

// newVictim makes a directory with every kind of file in it.
func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{}
	s := newStorm()
	synctest.Test(t, func(t *testing.T) {
		fault := vfs.NewFault(s.disk)
		l, err := s.begin(rand.New(rand.NewPCG(1, 1)), fault)
		if err != nil {
			t.Fatal(err)
		}
		v.failed = s.ledgers[2]
		do := func(steps ...step) {
			for _, one := range steps {
				one(l)
				l.settle()
			}
			v.stale = append(v.stale, readTree(t, s.disk, "data", tree{}))
		}
		grow := func(n int) {
			for range n {
				do((*life).append)
			}
		}
		grow(24)
		do((*life).checkpoint)
		grow(8)
		do((*life).cut, (*life).append, (*life).append)
		grow(4)
		// One replica fails; the checkpoint after leaves it out.
		r, _ := l.table.Get(v.failed.tp)
		l.hit = "on purpose"
		l.table.failReplica(r, "an experiment")
		do((*life).checkpoint)
		s.ledgers = slices.DeleteFunc(s.ledgers, func(one *ledger) bool { return one == v.failed })
		grow(4)
		do((*life).checkpoint)
		grow(8)
		do((*life).tick) // the witness
		v.proven = l.log.Durable()
		grow(1)
		if err := errors.Join(l.wrong, l.dead); err != nil {
			t.Fatal(err)
		}
		v.durable = l.kill()
	})
	v.files = readTree(t, s.disk, "data", tree{})
	v.ledgers = s.ledgers
	return v
}

// what recovery makes of damage.
type verdict string

const (
	harmless verdict = "harmless"          // every log is what it was
	refused  verdict = "refused"           // no start, and the error names a file
	given    verdict = "replicas given up" // and reported, so that they are replicated anew
	atRead   verdict = "found by a read"   // which gives the replica up
	tail     verdict = "shorter by the last round"
)

// examine recovers a disk. An error is damage that nobody notices.
func (v *victim) examine(disk *vfs.Mem) (verdict, error) {
	log, table, report, err := openTable(disk)
	if err != nil {
		if !strings.Contains(err.Error(), "data/") {
			return refused, fmt.Errorf("the error does not say which file: %w", err)
		}
		return refused, nil
	}
	defer log.Close()
	if report.Corrupt {
		return given, nil // and the directory gets a new id
	}
	if !slices.Contains(report.Failed, v.failed.tp) {
		return "", fmt.Errorf("forgot that %s has failed", v.failed.tp)
	}
	worst := harmless
	for _, l := range v.ledgers {
		if slices.Contains(report.Failed, l.tp) {
			worst = given
			continue
		}
		_, err := l.match(table, v.durable)
		switch {
		case err == nil:
		case errors.Is(err, segment.ErrCorrupt):
			if r, _ := table.Get(l.tp); !r.hasFailed() {
				return atRead, fmt.Errorf("%s goes on after %w", l.tp, err)
			}
			worst = atRead
		default:
			if _, shorter := l.match(table, v.proven); shorter != nil {
				return "", err
			}
			worst = tail
		}
	}
	return worst, nil
}

// kind is what a file is for.
func kind(path string) string {
	base := filepath.Base(path)
	switch {
	case strings.HasPrefix(path, "data/wal/"):
		return "wal"
	case strings.HasSuffix(base, ".log"), strings.HasSuffix(base, ".index"), strings.HasSuffix(base, failureSuffix):
		return filepath.Ext(base)
	default:
		return base
	}
}

// try examines the directory with one file replaced, and counts.
func (v *victim) try(t *testing.T, counts map[string]int, how, path string, content []byte) {
	t.Helper()
	before := allocated()
	got, err := v.examine(v.files.disk(t, path, content))
	if err != nil {
		t.Errorf("%s %s: %v", path, how, err)
	}
	if used := allocated() - before; used > 64<<20 {
		t.Errorf("%s %s: recovery takes %d MiB of memory", path, how, used>>20)
	}
	if got == tail && kind(path) != "wal" {
		t.Errorf("%s %s: %s", path, how, got)
	}
	counts[kind(path)+": "+string(got)]++
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// strideOf is how far apart the places of a file are that are tried.
func strideOf(size int) (stride, first int) {
	if *stormAll {
		return 1, 0
	}
	stride = max(size/97, 1) | 1
	return stride, rand.IntN(stride)
}

func (v *victim) report(t *testing.T, counts map[string]int) {
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%6d %s", counts[what], what)
	}
}

// TestDamagedFiles flips a bit of each byte of each file, one at a time, and
// cuts each file at each length. It is not parallel, so as to measure memory.
func TestDamagedFiles(t *testing.T) {
	v := newVictim(t)
	if got, err := v.examine(v.files.disk(t, "", nil)); got != harmless || err != nil {
		t.Fatalf("without damage: %s, %v", got, err)
	}
	flips, cuts := map[string]int{}, map[string]int{}
	for _, path := range slices.Sorted(maps.Keys(v.files)) {
		content := v.files[path]
		stride, first := strideOf(len(content))
		for at := first; at < len(content); at += stride {
			bad := slices.Clone(content)
			bad[at] ^= 1 << rand.IntN(8)
			v.try(t, flips, fmt.Sprintf("flipped at %d of %d", at, len(content)), path, bad)
			v.try(t, cuts, fmt.Sprintf("cut to %d of %d", at, len(content)), path, content[:at:at])
			if t.Failed() && at > first+20*stride {
				break
			}
		}
	}
	t.Log("bits flipped")
	v.report(t, flips)
	t.Log("files cut")
	v.report(t, cuts)
}

// TestStaleFiles puts each file back to what it was after each earlier step, or
// removes it.
func TestStaleFiles(t *testing.T) {
	v := newVictim(t)
	counts := map[string]int{}
	for i, old := range v.stale {
		for path, content := range old {
			if string(content) != string(v.files[path]) {
				v.try(t, counts, fmt.Sprintf("of step %d of %d restored", i, len(v.stale)), path, content)
			}
		}
	}
	for path := range v.files {
		v.try(t, counts, "removed", path, nil)
	}
	v.report(t, counts)
}

// TestFailedReplicasKeepTheirFiles: what is given up is put aside as it was, for
// somebody to look at who has no other copy.
func TestFailedReplicasKeepTheirFiles(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	segments := func(files tree, tp string) (found []string) {
		for path, content := range files {
			if strings.HasSuffix(path, ".log") && strings.Contains(path, tp) {
				found = append(found, fmt.Sprintf("%s %x", filepath.Base(path), content))
			}
		}
		slices.Sort(found)
		return found
	}
	check := func(what string, disk *vfs.Mem, tp string) {
		t.Helper()
		log, _, _, err := openTable(disk)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		was, is := segments(v.files, tp), segments(readTree(t, disk, "data", tree{}), tp)
		if len(was) == 0 || !slices.Equal(is, was) {
			t.Errorf("%s: %d of %d segments were kept as they were", what, len(is), len(was))
		}
	}
	check("failed while it ran", v.files.disk(t, "", nil), v.failed.tp.TopicID.String())
	check("no checkpoint", v.files.disk(t, "data/checkpoint", nil), "data/topics")
	check("checkpoint damaged", v.files.disk(t, "data/checkpoint", []byte("chronckp")), "data/topics")
}
