//go:build faults && linux

package powercut

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

// partitions is how many a topic has: one round of the log holds frames of all.
const partitions = 3

// order is what a writer is started for.
type order struct {
	Dir  string
	Seed uint64
	Life uint64 // unique: the number of this process on this disk
	// Topic is the number of the topic that lives before this one wrote to,
	// Lives how many did. Their records are verified.
	Topic, Lives int
	// Rotate deletes the topic then and writes to a new one.
	Rotate bool
	// Broken takes the syncs away of "files" or of "names": the test must notice.
	Broken string
}

// The lines that a writer says.
const (
	sayRun   = "run %d %d %d %d\n"   // partition, life, first offset, end: verified records
	sayBad   = "bad %s\n"            // what must not be
	sayStale = "stale %v\n"          // a replica of a deleted topic that is taken for damaged
	sayReady = "ready %d %d %d %d\n" // recovery in µs, torn bytes, replayed bytes, verified records
	sayAck   = "ack %d %d\n"         // partition, end: all below is acknowledged
)

// writer is the storage of a broker, without the broker.
type writer struct {
	order
	log    *wal.Log
	table  *partition.Table
	report partition.RecoveryReport
	image  *cluster.Image
	index  uint64
	out    io.Writer
}

// write recovers, verifies, and writes until it is killed.
func write(o order, out io.Writer) error {
	w := &writer{order: o, image: cluster.NewImage(), out: out}
	started := time.Now()
	if err := w.recover(); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	recovery := time.Since(started)
	ctx := context.Background()
	ended := make(chan error, 1)
	go func() { ended <- w.log.Run(ctx) }()
	go func() { ended <- w.table.Run(ctx) }()
	if err := w.register(); err != nil {
		return err
	}
	verified, err := w.verify()
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if err := w.say(sayReady, recovery.Microseconds(), w.report.TornBytes, w.report.Replayed, verified); err != nil {
		return err
	}
	if o.Rotate { // nobody asks for the old topic after the line above
		if err := w.rotate(); err != nil {
			return err
		}
	}
	go func() { ended <- w.checkpoint(ctx) }()
	for p := range partitions {
		go func() { ended <- w.fill(ctx, p) }()
	}
	<-ended // a disk without power: the rest of the writer still has its chance to acknowledge what it must not
	select {}
}

func (w *writer) say(format string, args ...any) error {
	_, err := fmt.Fprintf(w.out, format, args...) // one write each, so that lines of goroutines do not mix
	return err
}

// fs is the operating system's, maybe without syncs.
func (w *writer) fs() vfs.FS {
	switch w.Broken {
	case "files":
		return noSync{vfs.OS()}
	case "names":
		return noSyncDir{vfs.OS()}
	default:
		return vfs.OS()
	}
}

// recover opens the storage. Files and checkpoints are small, so that lives of
// milliseconds see all of them come and go.
func (w *writer) recover() (err error) {
	w.log, err = wal.Open(wal.Options{
		FS: w.fs(), Dir: filepath.Join(w.Dir, "wal"), FileBytes: 256 << 10, FirstFileBytes: 64 << 10, RecycleFiles: 4,
	})
	if err != nil {
		return err
	}
	w.table = partition.NewTable(partition.Options{
		Self: 1, Incarnation: w.incarnation(w.Lives), FS: w.fs(), Dir: w.Dir, WAL: w.log,
		TailBytes: 256 << 10, CheckpointBytes: 128 << 10, ReserveBytes: 1 << 20,
		Lease: time.Hour, // there is no controller to hear from
	})
	w.report, err = w.table.Recover()
	if err != nil {
		return err
	}
	if w.report.Corrupt {
		err = w.say(sayBad, fmt.Sprintf("the write-ahead log is taken for corrupt at %d", w.report.CorruptAt))
	}
	for _, tp := range w.report.Failed {
		if tp.TopicID != topicID(w.Topic) {
			err = errors.Join(err, w.say(sayStale, tp))
			continue
		}
		err = errors.Join(err, w.say(sayBad, fmt.Sprintf("replica %v failed", tp)))
	}
	return err
}

func (w *writer) incarnation(life int) cluster.UUID {
	return cluster.UUID{1, byte(w.Topic), byte(w.Topic >> 8), byte(w.Topic >> 16), byte(life)}
}

func topicID(number int) cluster.UUID {
	return cluster.UUID{2, byte(number), byte(number >> 8), byte(number >> 16)}
}

// register replays what the metadata of a cluster would be by now: each life
// on the topic came with a registration, and so with a leader epoch.
func (w *writer) register() error {
	w.commit(cluster.InitCluster{ClusterID: "powercut"})
	for life := range w.Lives + 1 {
		b := cluster.RegisterBroker{Broker: cluster.Broker{ID: 1, Incarnation: w.incarnation(life), Directory: cluster.UUID{3}}}
		if life == w.Lives {
			b.FailedReplicas = w.report.Failed
		}
		w.commit(cluster.UnfenceBroker{ID: 1, Epoch: w.commit(b).BrokerEpoch})
		if life == 0 {
			w.commit(createTopic(w.Topic))
		}
	}
	w.table.Apply(w.image)
	return w.expectLeader(w.Topic)
}

func createTopic(number int) cluster.CreateTopic {
	one := []cluster.BrokerID{1}
	return cluster.CreateTopic{
		ID: topicID(number), Name: fmt.Sprint("topic-", number), Assignment: [][]cluster.BrokerID{one, one, one},
		Configs: map[string]string{cluster.ConfigSegmentBytes: fmt.Sprint(1 << 20)},
	}
}

func (w *writer) commit(c cluster.Command) cluster.Result {
	var res cluster.Result
	w.index++
	w.image, res = cluster.Apply(w.image, w.index, c)
	if res.Err != nil {
		panic(fmt.Sprintf("%T: %v", c, res.Err)) // the writer's own mistake
	}
	return res
}

func (w *writer) rotate() error {
	w.commit(cluster.DeleteTopic{ID: topicID(w.Topic), Name: fmt.Sprint("topic-", w.Topic)})
	w.Topic++
	w.commit(createTopic(w.Topic))
	w.table.Apply(w.image)
	return w.expectLeader(w.Topic)
}

func (w *writer) expectLeader(topic int) error {
	for p := range partitions {
		if _, ok := w.replica(topic, p); !ok {
			return fmt.Errorf("no replica of topic %d, partition %d", topic, p)
		}
	}
	return nil
}

func (w *writer) replica(topic, p int) (*partition.Replica, bool) {
	return w.table.Get(cluster.TopicPartition{TopicID: topicID(topic), Partition: int32(p)})
}

// checkpoint ends and starts the storage loop again, because each end makes a
// checkpoint, and a loop's own are further apart than most lives are long.
func (w *writer) checkpoint(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(w.Seed, w.Life))
	for {
		turn, cancel := context.WithTimeout(ctx, time.Duration(1+rng.IntN(30))*time.Millisecond)
		err := w.table.RunStorage(turn)
		cancel()
		if err != nil {
			return err
		}
	}
}

// fill appends batches to a partition, a few of them unacknowledged, and says
// which are.
func (w *writer) fill(ctx context.Context, p int) error {
	r, _ := w.replica(w.Topic, p)
	rng := rand.New(rand.NewPCG(w.Seed^w.Life, uint64(p)))
	next := r.Info().LogEndOffset
	pending := make(chan *partition.Pending, 4)
	acks := make(chan error, 1)
	go func() { acks <- w.acknowledge(p, pending) }()
	for {
		b := record.NewBuilder(0)
		count := 1 + rng.IntN(3)
		for i := range count {
			b.Append(nil, value(w.Seed, place{life: w.Life, partition: p, offset: next + int64(i)}), nil, time.Now().UnixMilli())
		}
		ack, err := r.Append(ctx, partition.AppendRequest{
			Batch: b.Bytes(), Acks: partition.AcksAll, Deadline: time.Now().Add(time.Minute), Epoch: cluster.NoEpoch,
		})
		if err != nil {
			return err
		}
		if ack.BaseOffset() != next {
			return w.say(sayBad, fmt.Sprintf("partition %d: appended at %d, expected %d", p, ack.BaseOffset(), next))
		}
		next += int64(count)
		select {
		case pending <- ack:
		case err := <-acks:
			return err
		}
	}
}

func (w *writer) acknowledge(p int, pending <-chan *partition.Pending) error {
	for ack := range pending {
		<-ack.Done()
		if err := ack.Err(); err != nil {
			return err
		}
		if err := w.say(sayAck, p, ack.NextOffset()); err != nil {
			return err
		}
	}
	return nil
}

// noSync is a file system whose files are never synced.
type noSync struct{ vfs.FS }

func (n noSync) OpenWrite(name string) (vfs.File, error) { return lazy(n.FS.OpenWrite(name)) }
func (n noSync) Create(name string) (vfs.File, error)    { return lazy(n.FS.Create(name)) }

func lazy(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return lazyFile{f}, nil
}

type lazyFile struct{ vfs.File }

func (lazyFile) Sync() error { return nil }

// noSyncDir is a file system whose directories are never synced.
type noSyncDir struct{ vfs.FS }

func (noSyncDir) SyncDir(string) error { return nil }
