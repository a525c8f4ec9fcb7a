package bench

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
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
	assert      string
	out         string
	command     func(seed string) string // the command line that runs it again
	brokers     int
	elsewhere   bool // -B was given
}

// The values of --fault.
const (
	faultKill    = engine.FaultKill
	faultPause   = engine.FaultPause
	faultStop    = engine.FaultStop
	faultIsolate = engine.FaultIsolate
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
and kills (SIGKILL), pauses (SIGSTOP), stops (SIGTERM) or isolates one: cuts it off
from the other brokers, while this client still reaches it. For any other
cluster, --fault-exec names a shell command that does it; it gets the broker in
CHRONIK_FAULT_BROKER, its address in CHRONIK_FAULT_ADDRESS, the partition in
CHRONIK_FAULT_PARTITION and the topic in CHRONIK_FAULT_TOPIC. --recover-exec undoes it; without one, replicas that do not
come back cannot be read, and the check says so.

Measured by this client: unavailable, the longest time without an ack that began
or went on after the fault; first ack, when it ended. Measured by asking the
brokers that are left for metadata every 10 ms: detected, when the first one no
longer named the broker as leader or in sync (the same as elected where both are
one step); elected, when the first one named another leader; propagated, when
the last one did. Inferred: client, from elected to first ack, which is the
client's own backoff and the new leader's start.

--assert takes the claims of acks-all, and unavailable<1s: of every partition that
the broker led. --out saves the result, report.html, events.jsonl, the histograms
and repro.sh, as acks-all does; fail again with repro.sh, nothing is compared.

Exit status: 1 when a record failed, 4 when a claim does not hold, 5 when verification fails or a replica
differs from its leader.`,
		Example: `  chronik bench failover
  chronik bench failover --fault pause --rate 2k --duration 30s
  chronik bench failover --fault isolate --assert 'unavailable<10s,loss==0' --out ./isolated
  chronik bench failover -B kafka-1:9092 --fault-exec 'ssh kafka-$CHRONIK_FAULT_BROKER systemctl kill -s KILL kafka' \
      --recover-exec 'ssh kafka-$CHRONIK_FAULT_BROKER systemctl start kafka'`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.command = func(seed string) string { return commandLine(cmd, seed) }
			o.elsewhere = cmd.Flags().Changed("bootstrap-server")
			return failover(cmd.Context(), g, o, version)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&o.fault, "fault", faultKill, "`WHAT` to do to a broker of this command's own: kill, pause, stop or isolate")
	fs.StringVar(&o.faultExec, "fault-exec", "", "shell `COMMAND` that fails a broker of another cluster (see above)")
	fs.StringVar(&o.recoverExec, "recover-exec", "", "shell `COMMAND` that undoes it")
	fs.DurationVar(&o.at, "at", 5*time.Second, "`DURATION` of load before the fault")
	fs.DurationVar(&o.duration, "duration", 20*time.Second, "`DURATION` of load")
	fs.DurationVar(&o.warmup, "warmup", 2*time.Second, "`DURATION` of load before it that is not measured; 0 for none")
	fs.Var(&o.rate, "rate", "`RECORDS` per second, such as 1000, 20k")
	fs.StringVar(&o.acks, "acks", string(engine.AcksAllIdempotent), "`ACKS` to ask for: all+idempotent (retries), all or 1 (one attempt)")
	fs.IntVar(&o.brokers, "brokers", 3, "brokers of the cluster that the command starts")
	fs.StringVar(&o.assert, "assert", "", "exit with status 4 unless all `CLAIMS` hold, such as unavailable<1s,loss==0")
	fs.StringVar(&o.out, "out", "", "save the result, its page and its histograms in this new `DIR`")
	o.bind(fs)
	bindCompletions(g, cmd, map[string][]string{
		"fault": {faultKill, faultPause, faultStop, faultIsolate},
		"acks":  {string(engine.AcksAllIdempotent), string(engine.AcksAll), string(engine.AcksLeader)},
	})
	return cmd
}

func (o failoverOptions) config() (c engine.FailoverConfig, claims []engine.Assertion, err error) {
	if claims, err = engine.ParseAssertions(o.assert); err != nil {
		return c, nil, usage(err)
	}
	arms, err := engine.ParseArms(o.acks)
	if err != nil {
		return c, nil, usage(err)
	}
	switch o.fault {
	case faultKill, faultPause, faultStop, faultIsolate:
	default:
		return c, nil, exit.Usagef("", "--fault: %q is not kill, pause, stop or isolate", o.fault)
	}
	if o.recoverExec != "" && o.faultExec == "" {
		return c, nil, exit.Usagef("", "--recover-exec undoes what --fault-exec did")
	}
	if o.faultExec == "" {
		if err := checkOwn(o.brokers, o.elsewhere); err != nil {
			return c, nil, err
		}
	}
	c = engine.FailoverConfig{
		Config:  engine.Config{Arms: arms, Rate: float64(o.rate), Duration: o.duration, Warmup: o.warmup, WarmupMax: o.warmup},
		FaultAt: o.at, Fault: engine.Fault{Kind: o.fault},
	}
	if o.warmup == 0 {
		c.Warmup = -1 // the engine's zero is its default
	}
	c.KeepIntervals = o.out != ""
	return c, claims, nil
}

func failover(ctx context.Context, g *globals.Globals, o failoverOptions, version string) (err error) {
	config, claims, err := o.config()
	if err != nil {
		return err
	}
	if err := reserveBundle(o.out); err != nil {
		return err
	}
	if o.faultExec == "" {
		cluster, err := startOwn(ctx, g, o.brokers, needLinks(o.fault))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, cluster.Close(context.WithoutCancel(ctx))) }()
		config.Fault.Driver, config.Fault.Undo = ownDriver(cluster), undoes[o.fault]
	}
	if o.faultExec != "" {
		config.Fault = engine.Fault{Kind: engine.FaultExec, Driver: execDriver(o.faultExec, o.recoverExec)}
		if o.recoverExec != "" {
			config.Fault.Undo = engine.FaultRecover
		}
	}
	report, err := measure(ctx, g, &o.targetOptions, version, func(target engine.Target) (*engine.FailoverReport, error) {
		config.Target = target
		return engine.RunFailover(ctx, config)
	})
	if report == nil {
		return err
	}
	broken := report.Assert(claims)
	result := failoverResult(report)
	err = errors.Join(err, saveFailover(o.out, result, report, o.command))
	result.Footer = append(result.Footer, savedLine(o.out)...)
	return finish(g, result, outcome{
		broken: broken, interrupted: report.Interrupted, verification: report.Verification, replicas: report.Replicas,
	}, err)
}

// undoes names what ends each fault of the command's own cluster.
var undoes = map[string]string{
	faultKill: engine.FaultRestart, faultStop: engine.FaultRestart, faultPause: engine.FaultResume, faultIsolate: engine.FaultHeal,
}
