package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// storage runs the storage of a broker in a directory, appends so many records
// of 100 bytes or more, and stops it: cleanly, or without its last checkpoint.
// It returns what recovery found.
func storage(t *testing.T, dir string, life, appends int, checkpoint bool) partition.RecoveryReport {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	log, err := wal.Open(wal.Options{FS: vfs.OS(), Dir: filepath.Join(dir, "wal"), FileBytes: 64 << 10, FirstFileBytes: 16 << 10})
	must(err)
	table := partition.NewTable(partition.Options{
		Self: 1, Incarnation: cluster.UUID{byte(life + 1)}, FS: vfs.OS(), Dir: dir, WAL: log, ReserveBytes: 1,
	})
	report, err := table.Recover()
	must(err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- log.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	img, index := cluster.NewImage(), uint64(0)
	commit := func(c cluster.Command) cluster.Result {
		index++
		var res cluster.Result
		img, res = cluster.Apply(img, index, c)
		must(res.Err)
		return res
	}
	commit(cluster.InitCluster{ClusterID: "test"})
	tp := cluster.TopicPartition{TopicID: cluster.UUID{9}}
	for i := range life + 1 {
		res := commit(cluster.RegisterBroker{Broker: cluster.Broker{ID: 1, Incarnation: cluster.UUID{byte(i + 1)}, Directory: cluster.UUID{1}}})
		commit(cluster.UnfenceBroker{ID: 1, Epoch: res.BrokerEpoch})
		if i == 0 {
			commit(cluster.CreateTopic{ID: tp.TopicID, Name: "t", Assignment: [][]cluster.BrokerID{{1}}})
		}
	}
	table.Apply(img)
	r, ok := table.Get(tp)
	if !ok {
		t.Fatal("no replica")
	}
	for i := range appends {
		b := record.NewBuilder(0).Append(nil, bytes.Repeat([]byte{byte('a' + i%26)}, 100+i), nil, 1).Bytes()
		p, err := r.Append(ctx, partition.AppendRequest{
			Batch: b, Acks: partition.AcksAll, Deadline: time.Now().Add(time.Minute), Epoch: cluster.NoEpoch,
		})
		must(err)
		<-p.Done()
		must(p.Err())
	}
	if checkpoint {
		over, stop := context.WithCancel(ctx)
		stop()
		must(table.RunStorage(over))
	}
	return report
}

// TestDamageIsNoticed by the broker's own recovery, wherever it is done: so it
// is done where it matters.
func TestDamageIsNoticed(t *testing.T) {
	t.Parallel()
	original := t.TempDir()
	storage(t, original, 0, 150, true)
	storage(t, original, 1, 150, false)
	noticed := 0
	for seed := range uint64(60) {
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.CopyFS(dir, os.DirFS(original)); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		harm := []Harm{FlipOneBit, Scribble, ZeroOut, CutShort, DeleteFile}[seed%5]
		live, err := Live(dir, WAL)
		if err != nil || len(live) < 2 {
			t.Fatalf("live parts of the log: %v, %v", live, err)
		}
		last := live[len(live)-1]
		injury, err := Damage(rng, dir, WAL, harm, nil)
		if err != nil {
			t.Fatal(err)
		}
		if injury.File == last.File && injury.End+1000 > last.End {
			continue // nothing behind it proves that it was there: it passes for a torn tail
		}
		if report := storage(t, dir, 2, 0, false); !report.Corrupt {
			t.Errorf("seed %d: %v: not noticed: %+v", seed, injury.Relative(dir), report)
		}
		noticed++
	}
	if noticed < 20 {
		t.Errorf("%d damages: little is tested", noticed)
	}
}

// TestLiveSegments ends with the checkpoint.
func TestLiveSegments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	storage(t, dir, 0, 50, true)
	before, err := Live(dir, SegmentLog)
	if err != nil || len(before) != 1 || before[0].End < 50*100 {
		t.Fatalf("%v, %v", before, err)
	}
	storage(t, dir, 1, 50, true)
	after, err := Live(dir, SegmentLog)
	if err != nil || len(after) != 1 || after[0].End < 2*before[0].End-50*100 {
		t.Errorf("after another 50 records: %v, %v", after, err)
	}
	f, err := os.OpenFile(after[0].File, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(record.NewBuilder(100).Append(nil, []byte("behind the checkpoint"), nil, 1).Bytes())
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if again, err := Live(dir, SegmentLog); err != nil || !slices.Equal(again, after) {
		t.Errorf("with more behind the checkpoint: %v, %v", again, err)
	}
}

func TestHarms(t *testing.T) {
	t.Parallel()
	for _, h := range Harms {
		t.Run(string(h), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			name := filepath.Join(dir, "meta.json")
			put := func(content string) {
				if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			put("an older content")
			kept, err := Keep(dir, Identity)
			if err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(1, 1))
			if _, err := Damage(rng, dir, Identity, BringItBack, kept); !errors.Is(err, ErrNothingThere) {
				t.Errorf("no copy is stale: %v", err)
			}
			const content = "the content that is there"
			put(content)
			injury, err := Damage(rng, dir, Identity, h, kept)
			if err != nil || injury.File != name || injury.End <= injury.Start {
				t.Fatalf("%v, %v", injury, err)
			}
			got, err := os.ReadFile(name)
			if string(got) == content {
				t.Errorf("%v: unchanged", injury)
			}
			differs := -1
			for i := range min(len(got), len(content)) {
				if got[i] != content[i] {
					differs = i
					break
				}
			}
			switch h {
			case FlipOneBit, Scribble, ZeroOut:
				if len(got) != len(content) || int64(differs) < injury.Start || int64(differs) >= injury.End {
					t.Errorf("%v: %q", injury, got)
				}
			case CutShort:
				if int64(len(got)) != injury.Start || differs >= 0 {
					t.Errorf("%v: %q", injury, got)
				}
			case DeleteFile:
				if !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%v: %q, %v", injury, got, err)
				}
			case BringItBack:
				if string(got) != "an older content" {
					t.Errorf("%v: %q", injury, got)
				}
			}
		})
	}
}

// TestDamageAvoidsZeros, which may be padding.
func TestDamageAvoidsZeros(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content := append(make([]byte, 30), "xxx"...)
	if err := os.WriteFile(filepath.Join(dir, "checkpoint"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	injury, err := Damage(rand.New(rand.NewPCG(1, 1)), dir, Checkpoint, FlipOneBit, nil)
	if err != nil || injury.Start < 30 {
		t.Errorf("%v, %v", injury, err)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{
		"LOCK", "meta.json", "checkpoint", "wal/0000000001.wal", "wal/prepare-2.tmp",
		"topics/x/0/0-0.log", "topics/x/0/0-0.index", "topics/x/0/producers.snapshot", "topics/x/1.failed", "topics/x/1.failed-1/0-0.log",
		"raft/log/1-1.wal", "raft/log/state", "raft/snapshots/1-2-3/state.bin", "raft/cluster-id",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("x"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, c := range Classes {
		files, err := Files(dir, c)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			rel, _ := filepath.Rel(dir, f)
			got = append(got, fmt.Sprintf("%s: %s", c, rel))
		}
	}
	want := []string{
		"write-ahead log: wal/0000000001.wal", "segment: topics/x/0/0-0.log", "segment index: topics/x/0/0-0.index",
		"producers snapshot: topics/x/0/producers.snapshot", "checkpoint: checkpoint", "metadata log: raft/log/1-1.wal",
		"metadata store: raft/log/state", "metadata snapshot: raft/snapshots/1-2-3/state.bin", "meta.json: meta.json",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
