//go:build faults && linux

package faults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/test/faults/host"
)

var gib = flag.Float64("goals.gib", 0, "how many `GiB` a broker has to restart with; 0 is the form's own number")

// restarts is a broker alone with much data.
type restarts struct {
	*campaign
	t          *testing.T
	brokers    *host.Cluster
	admin      *kadm.Client
	client     *kgo.Client
	partitions int32
	acked      int
}

// TestGoal11Restart: how long a broker with 10 GiB in 1,000 partitions takes to
// serve all of them again: after a kill, and after a clean stop.
func TestGoal11Restart(t *testing.T) {
	c := newCampaign(t, 11, 1, 5)
	size, s := 0.05, restarts{campaign: c, partitions: 50}
	if *long {
		size, s.partitions = 10, 1000
	}
	if *gib > 0 {
		size = *gib
	}
	c.More["gib"], c.More["partitions"] = size, s.partitions
	var clean []time.Duration
	c.cluster(func(t *testing.T) {
		s.start(t)
		s.fill(int64(size * (1 << 30)))
		for c.more() {
			// Half a second of writes, so that an unclean end leaves some to replay.
			s.fill(32 << 20)
			c.samples = append(c.samples, s.restart("kill", func() error { return s.brokers.Kill(0) }))
			s.fill(1 << 20)
			clean = append(clean, s.restart("stop", func() error { return s.brokers.Stop(t.Context(), 0) }))
			c.Trials++
		}
	})
	c.Acked = s.acked
	c.More["clean_p50"], c.More["clean_max"] = percentile(clean, 50).Milliseconds(), percentile(clean, 100).Milliseconds()
	if most := percentile(clean, 100); *long && most > time.Second {
		c.Errorf("after a clean stop: %s, want at most 1s", most)
	}
	c.finish("start after SIGKILL to an ack on every partition, ms", 0, 0, 5*time.Second)
}

func (s *restarts) start(t *testing.T) {
	t.Helper()
	s.t = t
	s.brokers = host.Start(t, host.NewNetwork(t, 1), host.Options{ReadyTimeout: 2 * time.Minute, StopTimeout: 2 * time.Minute})
	client, err := kgo.NewClient(
		kgo.SeedBrokers(s.brokers.Bootstrap()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedBytes(64<<20), kgo.MetadataMinAge(20*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.DialTimeout(time.Second),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.client, s.admin = client, kadm.NewClient(client)
	created, err := s.admin.CreateTopics(t.Context(), s.partitions, 1, nil, topic)
	if err = errors.Join(err, created.Error()); err != nil {
		t.Fatal(err)
	}
}

// fill writes so many bytes, over all partitions.
func (s *restarts) fill(bytes int64) {
	s.t.Helper()
	const size = 32 << 10
	failed := make(chan error, 1)
	value := make([]byte, size)
	for i := range max(bytes/size, int64(s.partitions)) {
		value := append([]byte(fmt.Sprint(i)), value[len(fmt.Sprint(i)):]...)
		s.client.Produce(s.t.Context(), &kgo.Record{Topic: topic, Partition: int32(i) % s.partitions, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
		s.acked++
	}
	if err := s.client.Flush(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	select {
	case err := <-failed:
		s.t.Fatal(err)
	default:
	}
}

// restart ends the broker and starts it again. It returns the time from the start
// of the process to an acknowledgement on every partition.
func (s *restarts) restart(how string, end func() error) time.Duration {
	s.t.Helper()
	if err := end(); err != nil {
		s.t.Fatal(err)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	if err := s.brokers.Restart(ctx, 0); err != nil {
		s.t.Fatal(err)
	}
	ready := time.Since(began)
	var records []*kgo.Record
	for p := range s.partitions {
		records = append(records, &kgo.Record{Topic: topic, Partition: p, Value: []byte(how)})
	}
	if err := s.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
	served := time.Since(began)
	s.acked += len(records)
	s.t.Logf("%s: ready %s, an ack on each of %d partitions %s after the start; %s; %s", how, ready.Round(time.Millisecond), s.partitions, served.Round(time.Millisecond), s.onDisk(), s.recovered())
	return served
}

// recovered is what the broker said of its last recovery.
func (s *restarts) recovered() string {
	text, err := os.ReadFile(s.brokers.Brokers()[0].Log)
	if err != nil {
		return err.Error()
	}
	_, last, _ := strings.Cut(string(text)[max(0, strings.LastIndex(string(text), "msg=recovered")):], "=")
	line, _, _ := strings.Cut(last, "\n")
	return line
}

func (s *restarts) onDisk() string {
	var total int64
	err := filepath.WalkDir(s.brokers.Brokers()[0].DataDir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				total += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the broker goes on replacing files
		}
		return err
	})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%.2f GiB on the disk", float64(total)/(1<<30))
}
