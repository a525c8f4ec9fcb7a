package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/devcluster"
)

// failoverOptions is the command line of bench failover.
type failoverOptions struct {
	targetOptions
	acks        string
	rate        rateValue
	duration    time.Duration
	warmup      time.Duration
	at          time.Duration
	fault       string
	faultExec   string
	recoverExec string
	brokers     int
}

// The values of --fault.
const (
	faultKill  = "kill"
	faultPause = "pause"
	faultStop  = "stop"
	faultExec  = "exec"
)

func newFailover(g *globals.Globals, version string) *cobra.Command {
	o := failoverOptions{rate: 1000}
	cmd := &cobra.Command{
		Use:   "failover",
		Short: "Fail a leader under load, and measure how long acks stop",
		Long: `Offer an open loop of records, fail the leader of partition 0 in the middle of it,
and measure for each partition how long no ack came. Then let the broker come
back, read every record back and every replica from its own broker.

Without --fault-exec the command starts three brokers of its own on this machine
and kills (SIGKILL), pauses (SIGSTOP) or stops (SIGTERM) one. For any other
cluster, --fault-exec names a shell command that does it; it gets the broker in
CHRONIK_FAULT_BROKER, its address in CHRONIK_FAULT_ADDRESS and the topic in
CHRONIK_FAULT_TOPIC. --recover-exec undoes it; without one, replicas that do not
come back cannot be read, and the check says so.

Measured by this client: unavailable, the longest time without an ack that began
or went on after the fault; first ack, when it ended. Measured by asking the
brokers that are left for metadata every 10 ms: detected, when the first one no
longer named the broker as leader or in sync (the same as elected where both are
one step); elected, when the first one named another leader; propagated, when
the last one did. Inferred: client, from elected to first ack, which is the
client's own backoff and the new leader's start.

Exit status: 1 when a record failed, 5 when verification fails or a replica
differs from its leader.`,
		Example: `  chronik bench failover
  chronik bench failover --fault pause --rate 2k --duration 30s
  chronik bench failover -B kafka-1:9092 --fault-exec 'ssh kafka-$CHRONIK_FAULT_BROKER systemctl kill -s KILL kafka' \
      --recover-exec 'ssh kafka-$CHRONIK_FAULT_BROKER systemctl start kafka'`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return failover(cmd.Context(), g, o, version)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&o.fault, "fault", faultKill, "`WHAT` to do to a broker of this command's own: kill, pause or stop")
	fs.StringVar(&o.faultExec, "fault-exec", "", "shell `COMMAND` that fails a broker of another cluster (see above)")
	fs.StringVar(&o.recoverExec, "recover-exec", "", "shell `COMMAND` that undoes it")
	fs.DurationVar(&o.at, "at", 5*time.Second, "`DURATION` of load before the fault")
	fs.DurationVar(&o.duration, "duration", 20*time.Second, "`DURATION` of load")
	fs.DurationVar(&o.warmup, "warmup", 2*time.Second, "`DURATION` of load before it that is not measured; 0 for none")
	fs.Var(&o.rate, "rate", "`RECORDS` per second, such as 1000, 20k")
	fs.StringVar(&o.acks, "acks", string(engine.AcksAllIdempotent), "`ACKS` to ask for: all+idempotent (retries), all or 1 (one attempt)")
	fs.IntVar(&o.brokers, "brokers", 3, "brokers of the cluster that the command starts")
	o.bind(fs)
	bindCompletions(g, cmd, map[string][]string{
		"fault": {faultKill, faultPause, faultStop},
		"acks":  {string(engine.AcksAllIdempotent), string(engine.AcksAll), string(engine.AcksLeader)},
	})
	return cmd
}

func (o failoverOptions) config() (engine.FailoverConfig, error) {
	arms, err := engine.ParseArms(o.acks)
	if err != nil {
		return engine.FailoverConfig{}, usage(err)
	}
	switch o.fault {
	case faultKill, faultPause, faultStop:
	default:
		return engine.FailoverConfig{}, exit.Usagef("", "--fault: %q is not kill, pause or stop", o.fault)
	}
	if o.recoverExec != "" && o.faultExec == "" {
		return engine.FailoverConfig{}, exit.Usagef("", "--recover-exec undoes what --fault-exec did")
	}
	if o.brokers < 3 || o.brokers > devcluster.MaxBrokers {
		return engine.FailoverConfig{}, exit.Usagef("fewer have no majority without one", "--brokers: want 3 to %d", devcluster.MaxBrokers)
	}
	c := engine.FailoverConfig{
		Config:  engine.Config{Arms: arms, Rate: float64(o.rate), Duration: o.duration, Warmup: o.warmup, WarmupMax: o.warmup},
		FaultAt: o.at, Fault: engine.Fault{Kind: o.fault},
	}
	if o.warmup == 0 {
		c.Warmup = -1 // the engine's zero is its default
	}
	return c, nil
}

func failover(ctx context.Context, g *globals.Globals, o failoverOptions, version string) (err error) {
	config, err := o.config()
	if err != nil {
		return err
	}
	if o.faultExec == "" {
		g.Notef("starting %d brokers on this machine", o.brokers)
		cluster, err := devcluster.Start(ctx, devcluster.Options{Brokers: o.brokers})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, cluster.Close(context.WithoutCancel(ctx))) }()
		g.Seeds = cluster.Bootstrap()
		config.Fault = ownFault(cluster, o.fault)
	}
	report, err := measure(ctx, g, &o.targetOptions, version, func(target engine.Target) (*engine.FailoverReport, error) {
		config.Target = target
		if o.faultExec != "" {
			config.Fault = shellFault(o)
		}
		return engine.RunFailover(ctx, config)
	})
	if report == nil {
		return err
	}
	err = finish(g, failoverResult(report), outcome{interrupted: report.Interrupted, verification: report.Verification}, err)
	if r := report.Replicas; r != nil && len(r.Diverged) > 0 {
		g.Errorf("verification failed: %s differ from their leaders", plural(len(r.Diverged), "replica"))
		return exit.Reported(exit.VerificationFailed)
	}
	return err
}

// ownFault fails a broker of a cluster that the command started.
func ownFault(cluster *devcluster.Cluster, kind string) engine.Fault {
	on := func(v engine.Victim, do func(i int) error) error {
		i, ok := cluster.Index(int(v.Broker))
		if !ok {
			return fmt.Errorf("broker %d is not one of this cluster", v.Broker)
		}
		return do(i)
	}
	f := engine.Fault{
		Kind: kind,
		Recover: func(ctx context.Context, v engine.Victim) error {
			return on(v, func(i int) error { return cluster.Restart(ctx, i) })
		},
	}
	switch kind {
	case faultPause:
		f.Inflict = func(_ context.Context, v engine.Victim) error { return on(v, cluster.Pause) }
		f.Recover = func(_ context.Context, v engine.Victim) error { return on(v, cluster.Resume) }
	case faultStop:
		f.Inflict = func(ctx context.Context, v engine.Victim) error {
			return on(v, func(i int) error { return cluster.Stop(ctx, i) })
		}
	default:
		f.Inflict = func(_ context.Context, v engine.Victim) error { return on(v, cluster.Kill) }
	}
	return f
}

// shellFault runs the user's commands.
func shellFault(o failoverOptions) engine.Fault {
	run := func(ctx context.Context, command string, v engine.Victim) error {
		cmd := exec.CommandContext(ctx, "sh", "-c", command) //nolint:gosec // the user asked for it
		cmd.Env = append(os.Environ(), fmt.Sprintf("CHRONIK_FAULT_BROKER=%d", v.Broker), "CHRONIK_FAULT_ADDRESS="+v.Address, "CHRONIK_FAULT_TOPIC="+v.Topic)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(string(out)))
		}
		return nil
	}
	f := engine.Fault{
		Kind:    faultExec,
		Inflict: func(ctx context.Context, v engine.Victim) error { return run(ctx, o.faultExec, v) },
	}
	if o.recoverExec != "" {
		f.Recover = func(ctx context.Context, v engine.Victim) error { return run(ctx, o.recoverExec, v) }
	}
	return f
}
