package dev

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
	"github.com/chronik-project/chronik/internal/devcluster"
)

// upOptions is the command line of dev up.
type upOptions struct {
	brokers int
	dir     string
	seeds   []string
	args    []string // after --, for every broker
}

func newUp(g *globals.Globals) *cobra.Command {
	o := upOptions{brokers: 3}
	cmd := &cobra.Command{
		Use:   "up [-- SERVER-FLAG...]",
		Short: "Run brokers on this machine until Ctrl-C",
		Long: `Run brokers as processes of this executable on free loopback ports, print
their addresses, and stop them on Ctrl-C. Their logs go to files.

Without --dir the data is in a temporary directory that is removed at the end.
A directory of an earlier run is taken up again, with the ports it had. What
follows -- is given to every "chronik server start".`,
		Example: `  chronik dev up
  chronik dev up --seed-topic orders:6:3
  chronik dev up --brokers 1 --dir ./data -- --memory 512MiB`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); dash != 0 && len(args) > 0 {
				return exit.Usagef("put -- before flags for the brokers", "%s takes no arguments", cmd.CommandPath())
			}
			o.args = args
			return up(cmd.Context(), g, o)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.IntVar(&o.brokers, "brokers", o.brokers, "run `N` brokers")
	fs.StringVar(&o.dir, "dir", "", "keep data and logs in `DIR`")
	fs.StringArrayVar(&o.seeds, "seed-topic", nil, "create `TOPIC[:PARTITIONS[:REPLICAS]]`; may be repeated")
	return cmd
}

func up(ctx context.Context, g *globals.Globals, o upOptions) (err error) {
	specs, err := parseSeeds(o.seeds)
	if err != nil {
		return err
	}
	if o.brokers < 1 || o.brokers > devcluster.MaxBrokers {
		return exit.Usagef("", "--brokers: %d is not from 1 to %d", o.brokers, devcluster.MaxBrokers)
	}
	g.Progressf("starting %d brokers", o.brokers)
	began := time.Now()
	cluster, err := devcluster.Start(ctx, devcluster.Options{Brokers: o.brokers, Dir: o.dir, Args: o.args})
	if err != nil {
		return startError(err)
	}
	defer func() {
		g.Progressf("stopping %d brokers", len(cluster.Brokers()))
		err = errors.Join(err, cluster.Close(context.WithoutCancel(ctx)))
	}()
	clusterID, err := seed(ctx, g, cluster, specs)
	if err != nil {
		return err
	}
	g.Progressf("ready in %s", out.FormatDuration(time.Since(began)))
	if err := g.Print(upResult(clusterID, cluster, o)); err != nil {
		return err
	}
	return watch(ctx, g, cluster)
}

// seed creates the topics that were asked for, and learns the cluster's id.
func seed(ctx context.Context, g *globals.Globals, cluster *devcluster.Cluster, specs []admin.TopicSpec) (string, error) {
	ctx, cancel := g.WithTimeout(ctx)
	defer cancel()
	client, err := admin.Open(ctx, admin.Options{Seeds: cluster.Bootstrap()})
	if err != nil {
		return "", err
	}
	defer client.Close()
	if err := client.WaitBrokers(ctx, len(cluster.Brokers())); err != nil {
		return "", err
	}
	for _, spec := range specs {
		_, err := client.CreateTopic(ctx, spec, false)
		if err != nil && !errors.Is(err, admin.ErrTopicExists) {
			return "", err
		}
		if _, err := client.WaitTopic(ctx, spec.Name, int(spec.Partitions), true); err != nil {
			return "", err
		}
	}
	return client.ClusterID(ctx)
}

// watch waits for Ctrl-C, and says when a broker ends by itself. It fails when
// none is left.
func watch(ctx context.Context, g *globals.Globals, cluster *devcluster.Cluster) error {
	brokers := cluster.Brokers()
	ended := make(chan int)
	for i := range brokers {
		exited := cluster.Exited(i)
		go func() {
			select {
			case <-exited:
			case <-ctx.Done():
			}
			ended <- i
		}()
	}
	alive := len(brokers)
	for ; alive > 0; alive-- {
		i := <-ended
		if ctx.Err() == nil {
			g.Errorf("broker %d ended by itself; its log is %s", brokers[i].ID, brokers[i].Log)
		}
	}
	if ctx.Err() == nil {
		return exit.Failedf("", "no broker is left")
	}
	return nil // Ctrl-C is how this command is meant to end
}

// upResult says where the brokers are.
func upResult(clusterID string, cluster *devcluster.Cluster, o upOptions) *out.Result {
	brokers := cluster.Brokers()
	bootstrap := strings.Join(cluster.Bootstrap(), ",")
	grid := out.Grid{Columns: []out.Column{
		{Header: "BROKER", Field: "id", Right: true},
		{Header: "ADDRESS", Field: "address"},
		{Header: "PEER", Field: "peer", Level: out.WideTSV},
		{Header: "HTTP", Field: "http"},
		{Header: "PID", Field: "pid", Right: true},
		{Header: "DATA", Field: "data_dir", Level: out.WideTSV},
		{Header: "LOG", Field: "log"},
	}}
	for _, b := range brokers {
		grid.Rows = append(grid.Rows, []out.Cell{
			out.Int(b.ID), out.Text(b.Address), out.Text(b.Peer), out.Text(b.HTTP),
			out.Int(b.PID), out.Text(b.DataDir), out.Text(b.Log),
		})
	}
	remark := "Ctrl-C stops the brokers and removes their data."
	if o.dir != "" {
		remark = "Ctrl-C stops the brokers; their data stays in " + o.dir + "."
	}
	return &out.Result{
		Schema:    "chronik.dev.up/v1",
		ClusterID: clusterID,
		Data:      brokers,
		Summary: struct {
			Bootstrap string `json:"bootstrap"`
		}{bootstrap},
		Names:  cluster.Bootstrap(),
		Blocks: []out.Block{{Grid: grid}},
		Footer: []string{
			"",
			"bootstrap: " + bootstrap,
			"",
			"  export CHRONIK_BOOTSTRAP_SERVER=" + bootstrap,
			"  chronik topic create orders -p 6 -r " + fmt.Sprint(min(len(brokers), 3)),
			"  chronik isr show --watch",
			"",
			remark,
		},
	}
}
