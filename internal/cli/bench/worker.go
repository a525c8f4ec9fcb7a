package bench

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/spf13/cobra"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
)

func newWorker(g *globals.Globals, version string) *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Take a share of the load of acks-all --workers on this machine",
		Long: `Wait for a coordinator, chronik bench acks-all --workers, and take a share of its
load: one run at a time, until Ctrl-C.

A worker loads the cluster that it is started with, by --bootstrap-server, a profile
and the like, and refuses a coordinator that is on another one. It takes no address
and no password from anybody.

There is no authentication and no encryption: whoever can connect can have this
worker load that cluster. It listens on loopback unless told otherwise, and on all
addresses only when that is said in full (0.0.0.0:7070).`,
		Example: `  chronik bench worker --listen 10.0.0.5:7070 -B kafka-1:9092
  chronik bench acks-all -B kafka-1:9092 --rate 200k --workers 10.0.0.5:7070,10.0.0.6:7070`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return work(cmd.Context(), g, listen, version)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&listen, "listen", "127.0.0.1:7070", "`HOST:PORT` to listen on")
	bindCompletions(g, cmd, nil)
	return cmd
}

func work(ctx context.Context, g *globals.Globals, listen, version string) error {
	if host, _, err := net.SplitHostPort(listen); err != nil || host == "" {
		return exit.Usagef("say 0.0.0.0 to listen on all addresses: there is no authentication", "--listen: %q is not HOST:PORT with a host", listen)
	}
	o := targetOptions{verify: verifyFull, recordBytes: engine.StampBytes, ackTimeout: time.Second}
	target, err := o.target(ctx, g, version)
	if err != nil {
		return err
	}
	cluster, err := engine.ClusterID(ctx, target)
	if err != nil {
		return usage(err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	defer relaxGC()()
	g.Notef("waiting on %s for a coordinator of cluster %s", l.Addr(), cluster)
	w := &engine.Worker{Target: target, Cluster: cluster, Version: version, Logger: slog.New(slog.NewTextHandler(g.Err, nil))}
	return w.Serve(ctx, l)
}

// workerLines are a line for each machine that shared the load.
func workerLines(workers []engine.WorkerReport) []string {
	var lines []string
	for _, w := range workers {
		line := fmt.Sprintf("worker     %s: clock to %s, late by %s at p99", w.Address, optMicros(&w.ClockMicros).Text, optMicros(w.Lateness.P99).Text)
		if w.Lost != nil {
			line = fmt.Sprintf("worker     %s: LOST, %s", w.Address, *w.Lost)
		} else if !w.Valid {
			line += ": INVALID"
		}
		lines = append(lines, line)
	}
	return lines
}
