package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
	"github.com/chronik-project/chronik/internal/devcluster"
)

// What the demo's topic is like.
const (
	demoTopic      = "demo"
	demoPartitions = 6
	demoReplicas   = 3
	demoMinISR     = 2
)

// demoOptions is the command line of dev demo.
type demoOptions struct {
	input   string
	lines   int
	dir     string
	noBench bool
	version string
}

func newDemo(g *globals.Globals, version string) *cobra.Command {
	o := demoOptions{lines: 300_000, version: version}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Kill a leader in the middle of a load, and see that nothing is lost",
		Long: `Start three real brokers on this machine, load text line by line with acks=all,
kill the leader of partition 0 (SIGKILL) in the middle of it, read everything
back and compare checksums, let the broker come back, and measure acks=all.

The text is the Go standard library's own source where there is one, else one
that is built in; --input takes any other. It takes well under a minute and
leaves nothing behind. Exit status 5 means that an acked line was lost,
doubled, reordered or changed.`,
		Example: `  chronik dev demo
  chronik dev demo --input access.log --lines 1000000
  chronik dev demo --no-bench -o json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.Context(), g, o)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&o.input, "input", "", "load the lines of `FILE`")
	fs.IntVar(&o.lines, "lines", o.lines, "load at most `N` lines")
	fs.StringVar(&o.dir, "dir", "", "keep data and logs in `DIR`, which must be new")
	fs.BoolVar(&o.noBench, "no-bench", false, "leave out the benchmark at the end")
	return cmd
}

// demoReport is the row of chronik.dev.demo/v1.
type demoReport struct {
	Source        string  `json:"source"`
	Lines         int     `json:"lines"`
	Acked         int     `json:"acked"`
	ReadBack      int     `json:"read_back"`
	Lost          int     `json:"lost"`
	Duplicated    int     `json:"duplicated"`
	Reordered     int     `json:"reordered"`
	Changed       int     `json:"changed"`
	SHA256Acked   string  `json:"sha256_acked"`
	SHA256Read    string  `json:"sha256_read"`
	KilledBroker  int     `json:"killed_broker"`
	KilledAtLine  int     `json:"killed_at_line"`
	StallMillis   int64   `json:"stall_ms"` // longest time without any ack
	RejoinMillis  int64   `json:"rejoin_ms"`
	LoadSeconds   float64 `json:"load_seconds"`
	LinesPerSec   float64 `json:"lines_per_second"`
	TotalSeconds  float64 `json:"total_seconds"`
	BenchIncluded bool    `json:"bench_included"`
}

// ok reports whether every acked line was read back once, as it was written.
func (r demoReport) ok() bool {
	return r.Lost == 0 && r.Duplicated == 0 && r.Reordered == 0 && r.Changed == 0 &&
		r.Acked > 0 && r.SHA256Acked == r.SHA256Read
}

// demonstration is a demo under way. It is owned by the goroutine of demo.
type demonstration struct {
	g       *globals.Globals
	o       demoOptions
	cluster *devcluster.Cluster
	client  *admin.Client
	report  demoReport
	before  admin.ISRPartition // partition 0, before its leader was killed
	step    int
}

func demo(ctx context.Context, g *globals.Globals, o demoOptions) (err error) {
	if o.lines < 1 {
		return exit.Usagef("", "--lines: %d is not a positive number", o.lines)
	}
	began := time.Now()
	d := &demonstration{g: g, o: o}
	if entries, readErr := os.ReadDir(o.dir); o.dir != "" && readErr == nil && len(entries) > 0 {
		return exit.Usagef("the demo needs a cluster of its own", "--dir: %s is not empty", o.dir)
	}
	text, err := readText(ctx, o)
	if err != nil {
		return err
	}
	d.report.Source, d.report.Lines = text.source, len(text.lines)
	d.next("start three brokers, each a process of its own")
	d.cluster, err = devcluster.Start(ctx, devcluster.Options{Brokers: demoReplicas, Dir: o.dir})
	if err != nil {
		return startError(err)
	}
	defer func() {
		if err != nil && ctx.Err() == nil {
			d.cluster.Keep()
			d.say("the logs of the brokers stay in %s", d.cluster.Dir())
		}
		d.next("stop the brokers")
		err = errors.Join(err, d.cluster.Close(context.WithoutCancel(ctx)))
		if err == nil {
			d.report.TotalSeconds = time.Since(began).Seconds()
			err = d.finish()
		}
	}()
	for _, b := range d.cluster.Brokers() {
		d.say("broker %d  pid %d  %s", b.ID, b.PID, b.Address)
	}
	return d.run(ctx, text)
}

// run is the demo between the start of the brokers and their stop.
func (d *demonstration) run(ctx context.Context, text text) error {
	var err error
	if d.client, err = admin.Open(ctx, admin.Options{Seeds: d.cluster.Bootstrap()}); err != nil {
		return err
	}
	defer d.client.Close()
	if err := d.create(ctx); err != nil {
		return err
	}
	written, err := d.load(ctx, text)
	if err != nil {
		return err
	}
	if err := d.showChange(ctx); err != nil {
		return err
	}
	if err := d.readBack(ctx, text, written); err != nil {
		return err
	}
	if err := d.rejoin(ctx); err != nil {
		return err
	}
	if err := d.showReplication(ctx); err != nil {
		return err
	}
	return d.bench(ctx)
}

// create makes the topic, with every replica in sync from the start.
func (d *demonstration) create(ctx context.Context) error {
	d.next("create topic %q: %d partitions, %d replicas, at least %d in sync for an ack", demoTopic, demoPartitions, demoReplicas, demoMinISR)
	ctx, cancel := d.g.WithTimeout(ctx)
	defer cancel()
	if err := d.client.WaitBrokers(ctx, demoReplicas); err != nil {
		return err
	}
	_, err := d.client.CreateTopic(ctx, admin.TopicSpec{
		Name: demoTopic, Partitions: demoPartitions, ReplicationFactor: demoReplicas,
		Configs: map[string]string{"min.insync.replicas": fmt.Sprint(demoMinISR)},
	}, false)
	if err != nil {
		return err
	}
	_, err = d.client.WaitTopic(ctx, demoTopic, demoPartitions, true)
	return err
}

// rejoin starts the killed broker again and waits until it is in sync.
func (d *demonstration) rejoin(ctx context.Context) error {
	d.next("start broker %d again, and wait until it is in sync", d.report.KilledBroker)
	began := time.Now()
	index, _ := d.cluster.Index(d.report.KilledBroker)
	if err := d.cluster.Restart(ctx, index); err != nil {
		return startError(err)
	}
	serving := time.Since(began)
	ctx, cancel := d.g.WithTimeout(ctx)
	defer cancel()
	if _, err := d.client.WaitTopic(ctx, demoTopic, demoPartitions, true); err != nil {
		return err
	}
	d.report.RejoinMillis = time.Since(began).Milliseconds()
	d.say("serving after %s, in sync with all partitions after %s", out.FormatDuration(serving), out.FormatDuration(time.Since(began)))
	return nil
}

// finish prints the verdict.
func (d *demonstration) finish() error {
	r := d.report
	verdict := fmt.Sprintf("nothing acked was lost: %s lines acked, %s read back, checksums equal, in %.0fs.",
		count(r.Acked), count(r.ReadBack), r.TotalSeconds)
	if !r.ok() {
		verdict = fmt.Sprintf("DATA IS NOT AS IT WAS ACKED: %d lost, %d doubled, %d reordered, %d changed of %s acked lines.",
			r.Lost, r.Duplicated, r.Reordered, r.Changed, count(r.Acked))
	}
	err := d.g.Print(&out.Result{
		Schema: "chronik.dev.demo/v1",
		Data:   []demoReport{r},
		Names:  []string{demoTopic},
		Blocks: []out.Block{{Prose: []string{"", verdict}, Grid: reportGrid(r)}},
	})
	if err == nil && !r.ok() {
		return exit.Reported(exit.VerificationFailed)
	}
	return err
}

func reportGrid(r demoReport) out.Grid {
	return out.Grid{
		Columns: []out.Column{
			{Header: "LINES", Field: "lines", Right: true},
			{Header: "ACKED", Field: "acked", Right: true},
			{Header: "READ", Field: "read_back", Right: true},
			{Header: "LOST", Field: "lost", Right: true},
			{Header: "DUPLICATED", Field: "duplicated", Right: true},
			{Header: "REORDERED", Field: "reordered", Right: true},
			{Header: "CHANGED", Field: "changed", Right: true},
			{Header: "SHA256", Field: "sha256_read"},
			{Header: "STALL MS", Field: "stall_ms", Right: true},
			{Header: "REJOIN MS", Field: "rejoin_ms", Right: true},
		},
		Rows: [][]out.Cell{{
			out.Int(r.Lines), out.Int(r.Acked), out.Int(r.ReadBack), out.Int(r.Lost), out.Int(r.Duplicated),
			out.Int(r.Reordered), out.Int(r.Changed), out.Text(r.SHA256Read), out.Int(r.StallMillis), out.Int(r.RejoinMillis),
		}},
	}
}
