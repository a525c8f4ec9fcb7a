// Command nats loads NATS JetStream as "chronik bench" loads a Kafka-compatible
// cluster: an open loop whose latency counts from when a record was due, or as
// many records as a client keeps in flight. It prints one line of JSON. It needs
// Linux; test/peers runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// options are the flags of all commands.
type options struct {
	servers string
	name    string // of the streams, which are name-0, name-1 ...
	streams int
	rate    int
	size    int
	seconds int
	warmup  int
	records int
	window  int
	limit   time.Duration
	drain   time.Duration
	hgrm    string
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	commands := map[string]func(context.Context, *nats.Conn, options) (any, error){
		"create": create, "delete": remove, "leader": leader, "load": load, "rush": rush,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("usage: nats create|delete|leader|load|rush [flags]")
	}
	var o options
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	fs.StringVar(&o.servers, "servers", nats.DefaultURL, "URLs, comma-separated")
	fs.StringVar(&o.name, "name", "bench", "what the streams' names start with")
	fs.IntVar(&o.streams, "streams", 6, "number of streams: each is what a partition is elsewhere")
	fs.IntVar(&o.rate, "rate", 1000, "records per second of load")
	fs.IntVar(&o.size, "size", 1024, "bytes of a record")
	fs.IntVar(&o.seconds, "seconds", 10, "measured seconds of load")
	fs.IntVar(&o.warmup, "warmup", 3, "seconds of load before that")
	fs.IntVar(&o.records, "records", 100_000, "records of rush")
	fs.IntVar(&o.window, "window", 4000, "records that rush keeps in flight: the default of nats.go")
	fs.DurationVar(&o.limit, "limit", time.Minute, "time to wait for the cluster")
	fs.DurationVar(&o.drain, "drain", 10*time.Second, "time that records may take to be acked after the last was sent")
	fs.StringVar(&o.hgrm, "hgrm", "", "file for the response times' percentiles")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	conn, err := connect(o)
	if err != nil {
		return err
	}
	defer conn.Close()
	result, err := commands[args[0]](context.Background(), conn, o)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// connect waits for a server. A connection that is lost comes back as fast as
// the Kafka client of the comparison retries.
func connect(o options) (*nats.Conn, error) {
	var last error
	for deadline := time.Now().Add(o.limit); time.Now().Before(deadline); wait() {
		conn, err := nats.Connect(o.servers, nats.MaxReconnects(-1), nats.ReconnectWait(retryAfter), nats.ReconnectJitter(0, 0))
		if err == nil {
			return conn, nil
		}
		last = err
	}
	return nil, fmt.Errorf("no server: %w", last)
}

const retryAfter = 20 * time.Millisecond

func wait() { <-time.After(retryAfter) }

func (o options) stream(i int) string  { return fmt.Sprintf("%s-%d", o.name, i) }
func (o options) subject(i int) string { return fmt.Sprintf("%s.%d", o.name, i) }

// create makes streams of three replicas in files, and waits until every
// replica of each is current.
func create(ctx context.Context, conn *nats.Conn, o options) (any, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	for i := range o.streams {
		config := jetstream.StreamConfig{Name: o.stream(i), Subjects: []string{o.subject(i)}, Replicas: 3, Storage: jetstream.FileStorage}
		err := o.retry(func() error {
			_, err := js.CreateStream(ctx, config)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("create %s: %w", o.stream(i), err)
		}
	}
	for i := range o.streams {
		err := o.retry(func() error {
			_, err := o.current(ctx, js, i)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return struct{}{}, nil
}

// current returns who leads a stream, and an error unless both followers are
// current.
func (o options) current(ctx context.Context, js jetstream.JetStream, i int) (string, error) {
	stream, err := js.Stream(ctx, o.stream(i))
	if err != nil {
		return "", err
	}
	cluster := stream.CachedInfo().Cluster
	if cluster == nil || cluster.Leader == "" {
		return "", fmt.Errorf("%s has no leader", o.stream(i))
	}
	n := 0
	for _, r := range cluster.Replicas {
		if r.Current && !r.Offline {
			n++
		}
	}
	if n < 2 {
		return "", fmt.Errorf("%s: %d followers are current", o.stream(i), n)
	}
	return cluster.Leader, nil
}

func remove(ctx context.Context, conn *nats.Conn, o options) (any, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	for i := range o.streams {
		if err := o.retry(func() error { return js.DeleteStream(ctx, o.stream(i)) }); err != nil {
			return nil, fmt.Errorf("delete %s: %w", o.stream(i), err)
		}
	}
	return struct{}{}, nil
}

// leader says who leads the first stream, once both of its followers are current.
func leader(ctx context.Context, conn *nats.Conn, o options) (any, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	var found struct {
		Leader string `json:"leader"`
	}
	err = o.retry(func() error {
		found.Leader, err = o.current(ctx, js, 0)
		return err
	})
	return found, err
}

// retry calls f until it returns nil or the limit is over.
func (o options) retry(f func() error) (err error) {
	for deadline := time.Now().Add(o.limit); time.Now().Before(deadline); wait() {
		if err = f(); err == nil {
			return nil
		}
	}
	return err
}
