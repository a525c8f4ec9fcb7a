package partition

import (
	"context"
	"flag"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

var recoverMiB = flag.Int64("recover.mib", 256, "how many `MiB` BenchmarkRecover writes before it is killed")

// openOnDisk is a broker's storage on the file system of the machine, with the
// defaults of a server.
func openOnDisk(b *testing.B, dir string) (*wal.Log, *Table, RecoveryReport) {
	b.Helper()
	log, err := wal.Open(wal.Options{FS: vfs.OS(), Dir: dir + "/wal"})
	if err != nil {
		b.Fatal(err)
	}
	table := NewTable(Options{
		Self: 1, Incarnation: cluster.UUID{1}, FS: vfs.OS(), Dir: dir, WAL: log, Lease: time.Hour, CheckpointBytes: 256 << 20,
		Logger: slog.New(slog.NewTextHandler(b.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	report, err := table.Recover()
	if err != nil {
		b.Fatal(err)
	}
	return log, table, report
}

// BenchmarkRecover writes to a thousand partitions as fast as the disk takes it,
// stops without a checkpoint, as a killed process does, and recovers. It reports
// how much had to be replayed.
func BenchmarkRecover(b *testing.B) {
	const partitions = 1000
	batch := record.NewBuilder(0).Append(nil, make([]byte, 32<<10), nil, 1).Bytes()
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		log, table, _ := openOnDisk(b, dir)
		ctx, kill := context.WithCancel(context.Background())
		storage, killStorage := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = log.Run(ctx) })
		replicas := leadOnly(b, table, partitions)
		running.Go(func() { _ = table.storageLoop(storage) })
		began := time.Now()
		var last *Pending
		for i := range *recoverMiB << 20 / int64(len(batch)) {
			p, err := replicas[i%partitions].Append(ctx, AppendRequest{
				Batch: append(record.Batch(nil), batch...), Acks: AcksAll, Deadline: began.Add(time.Hour), Epoch: cluster.NoEpoch,
			})
			if err != nil {
				b.Fatal(err)
			}
			last = p
		}
		<-last.Done()
		b.Logf("written in %v", time.Since(began))
		killStorage()
		kill()
		running.Wait()
		b.StartTimer()
		log, table, report := openOnDisk(b, dir)
		b.StopTimer()
		b.ReportMetric(float64(report.Replayed)/(1<<20), "replayed-MiB/op")
		for _, r := range table.unordered() {
			if err := r.log.Close(); err != nil {
				b.Error(err)
			}
		}
		if err := log.Close(); err != nil {
			b.Error(err)
		}
		b.StartTimer()
	}
}

// leadOnly makes the table the only broker of a topic with so many partitions.
func leadOnly(b testing.TB, table *Table, partitions int32) []*Replica {
	b.Helper()
	img, index := cluster.NewImage(), uint64(0)
	apply := func(cmd cluster.Command) cluster.Result {
		index++
		next, res := cluster.Apply(img, index, cmd)
		if res.Err != nil {
			b.Fatal(res.Err)
		}
		img = next
		return res
	}
	apply(cluster.InitCluster{ClusterID: "bench"})
	res := apply(cluster.RegisterBroker{Broker: cluster.Broker{ID: 1, Incarnation: cluster.UUID{1}, Directory: cluster.UUID{1}}})
	apply(cluster.UnfenceBroker{ID: 1, Epoch: res.BrokerEpoch})
	id := cluster.UUID{9}
	assignment := make([][]cluster.BrokerID, partitions)
	for i := range assignment {
		assignment[i] = []cluster.BrokerID{1}
	}
	apply(cluster.CreateTopic{ID: id, Name: "t", Assignment: assignment, Configs: map[string]string{"retention.ms": "-1"}})
	table.Apply(img)
	var replicas []*Replica
	for p := range partitions {
		r, ok := table.Get(cluster.TopicPartition{TopicID: id, Partition: p})
		if !ok {
			b.Fatal("no replica")
		}
		replicas = append(replicas, r)
	}
	return replicas
}
