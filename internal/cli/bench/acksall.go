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

// acksAllOptions is the command line of bench acks-all.
type acksAllOptions struct {
	loadOptions
	block       time.Duration
	closedLoop  bool
	concurrency int
	faults      faultOptions
	sweep       sweepOptions
	workers     []string
}

func newAcksAll(g *globals.Globals, version string) *cobra.Command {
	var o acksAllOptions
	cmd := &cobra.Command{
		Use:   "acks-all",
		Short: "Compare the latency of acks=all, 1 and 0, and verify every record",
		Long: `Offer the same load with each acks setting in turn, measure how long acks take,
then read every record back and check that nothing acked is lost, duplicated,
reordered or corrupt.

The load is an open loop: records are due at fixed times, whatever the cluster
does, and latency counts from then. A stall shows for every record that was due
meanwhile. With --closed-loop the load waits for answers instead, as most
benchmarks do; stalls then hide from the quantiles, and the report says so.

Every arm has the same client settings: no linger, no compression, no
idempotence, no retries, five requests in flight per broker. all+idempotent is
an arm of its own. acks=0 is the time of a send, and not an ack.

Where the time goes: chronik's brokers keep traces of the batches they answered
(GET /v1/trace/produce, docs/traces.md). They are joined with this client's own
records by topic, partition and offset, no clocks compared. Shown are the records
around the median and around p99: stages of which each adds up to the response
time, so their means do as well. After the append, the time until the commit is
"fsync" where the leader's own disk was last, and "follower" where a follower
was. Clusters without traces get the client's part, and acks=all less acks=1 as
an estimate of what replication costs.

--duration is shared evenly by the arms, which take turns in short blocks. The
warm-up before it goes on until, for every arm with acks, the medians of three
turns in a row agree to a quarter; how long that took is in the report. A
run whose generator was late at p99 by more than 1 ms and a tenth of the p99 it
measured is INVALID. A quantile with less than one sample beyond it is shown as
"-": ten thousand records make a p99.99.

--assert takes claims such as p99<10ms, max<1s, errors<0.1%, rate>=990,
loss==0, duplicates==0, valid. Latency is claimed of every arm with acks.

--sweep measures several rates, each for --duration on a topic of its own.
--find-max doubles the rate until --slo is not met, records fail, or fewer than
95% of them are acked in time, then halves the gap to a tenth and tries what it
found once more; it has one arm, acks=all unless --acks says otherwise. Every
record of every rate is read back: mind the disk, or say --verify off.

--fault starts brokers of its own on this machine and does something to them under
load: 'at=30s kill-leader for=10s'. The action is kill (SIGKILL), stop, pause
(SIGSTOP), isolate (from the other brokers; clients still reach it), slow (what
brokers send each other takes longer by a delay) or restart; whom it hits is
-leader or -follower of partition 0 (partition=N for another), or :BROKER; slow
takes its delay last: slow-follower:50ms, slow-follower:3:50ms. for= undoes it
after that time, else the end of the load does; resume, heal and restart alone undo
the last one earlier. For other clusters, --fault-exec names a shell command that
inflicts each fault of the timeline, without one in the middle of the load, and
--recover-exec one that undoes it. They have two minutes, and get
CHRONIK_FAULT_ACTION, _BROKER, _ADDRESS, _PARTITION, _LEADER, _TOPIC and _DELAY.

Latency is then told apart before, during and after the faults: "before" was
answered when the first one began, "after" was due when all were undone and every
replica was in sync again. Every replica is read from its own broker and compared
with its leader. What acks=1 loses to a fault is counted, and is no failure.

--verify sample reads only part of each partition, and says how much: its losses
are real, and it may miss some.

--out saves the result as JSON and, for each second, the response, service and
lateness times: *.hlog (interval logs in nanoseconds, tagged with the acks) and
*.hgrm (percentiles in milliseconds) open in HdrHistogram's tools. report.html is
one page with charts for any browser, events.jsonl what happened to the cluster
meanwhile, and repro.sh runs the same again and compares.

--workers shares the load among machines that run bench worker: an even part of the
rate and, of the partitions, to each. Every turn begins at the same time on all of
them, to half a round trip, which the report names for each. Histograms are merged.
A worker that is lost, or whose generator was late, makes the run INVALID. Where the
time goes is not told then.

Exit status: 1 when a record or a fault failed, 4 when a claim does not hold or no rate
meets --slo, 5 when verification fails or a
replica differs from its leader.`,
		Example: `  chronik bench acks-all
  chronik bench acks-all --rate 20k --record-size 1KiB --duration 60s --acks all,1,0
  chronik bench acks-all --acks all --arrival poisson -c min.insync.replicas=2
  chronik bench acks-all --assert 'p99<10ms,loss==0' -o json
  chronik bench acks-all --duration 60s --out ./run-1
  chronik bench acks-all --find-max --slo 'p99<10ms'
  chronik bench acks-all --sweep 1k,5k,20k --acks all,1
  chronik bench acks-all --closed-loop --concurrency 16
  chronik bench acks-all --acks all --duration 60s --fault 'at=20s kill-leader for=10s' --out ./killed
  chronik bench acks-all -B kafka-1:9092 --duration 60s --fault 'at=20s stop-leader for=20s' \
      --fault-exec 'ssh kafka-$CHRONIK_FAULT_BROKER systemctl kill -s KILL kafka' \
      --recover-exec 'ssh kafka-$CHRONIK_FAULT_BROKER systemctl start kafka'`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.sweep.findMax && !cmd.Flags().Changed("acks") {
				o.acks = string(engine.AcksAll)
			}
			o.faults.elsewhere = cmd.Flags().Changed("bootstrap-server")
			o.repeatedBy(cmd)
			return acksAll(cmd.Context(), g, o, version)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&o.acks, "acks", "all,1,0", "settings to compare, any of `all,1,0,all+idempotent`")
	o.bindSchedule(fs, " that each arm offers", ", shared by the arms")
	o.bind(fs)
	fs.DurationVar(&o.block, "block", 5*time.Second, "longest `DURATION` of one arm's turn")
	fs.BoolVar(&o.closedLoop, "closed-loop", false, "send the next record when the last is answered; ignores --rate")
	fs.IntVar(&o.concurrency, "concurrency", 1, "number of callers in a closed loop")
	o.bindOutcome(fs)
	fs.StringSliceVar(&o.workers, "workers", nil, "share the load among the bench workers at these `ADDRESSES`, such as 10.0.0.5:7070,10.0.0.6:7070")
	fs.BoolVar(&o.sweep.findMax, "find-max", false, "search for the highest rate that meets --slo, from --rate on; --duration is how long each is held")
	fs.StringVar(&o.sweep.slo, "slo", "", "`CLAIMS` that a rate has to meet, such as p99<10ms,errors<0.1%")
	fs.StringVar(&o.sweep.rates, "sweep", "", "measure these `RATES` one after the other, such as 1k,5k,20k")
	o.faults.bind(cmd)
	bindCompletions(g, cmd, map[string][]string{
		"acks":    append([]string{"all,1,0"}, armNames()...),
		"traces":  {tracesAuto, tracesOff},
		"fault":   {"at=5s kill-leader for=5s", "at=5s pause-leader for=5s", "at=5s isolate-leader for=5s", "at=5s slow-follower:50ms for=5s", "at=5s restart-follower"},
		"arrival": {string(engine.Uniform), string(engine.Poisson)},
	})
	return cmd
}

func (o acksAllOptions) config() (engine.Config, []engine.Assertion, error) {
	c, claims, err := o.loadOptions.config()
	if err != nil {
		return engine.Config{}, nil, err
	}
	faults, err := o.faults.parse(o.duration)
	if err != nil {
		return engine.Config{}, nil, err
	}
	c.Faults, c.Block, c.ClosedLoop, c.Concurrency = faults, o.block, o.closedLoop, o.concurrency
	return c, claims, nil
}

func acksAll(ctx context.Context, g *globals.Globals, o acksAllOptions, version string) (err error) {
	config, claims, err := o.config()
	if err != nil {
		return err
	}
	if o.sweep.wanted() && len(config.Faults) > 0 {
		return exit.Usagef("", "faults are of one run: not with --sweep or --find-max")
	}
	if o.sweep.wanted() && len(o.workers) > 0 {
		return exit.Usagef("", "workers share one run: not with --sweep or --find-max")
	}
	if o.sweep.wanted() {
		return sweep(ctx, g, o, config, version)
	}
	if _, _, err := o.sweep.parse(o); err != nil {
		return err
	}
	if len(o.workers) > 0 && (o.closedLoop || len(config.Faults) > 0) {
		return exit.Usagef("", "workers share an open loop without faults: not with --closed-loop or --fault")
	}
	if err := reserveBundle(o.out); err != nil {
		return err
	}
	closeOwn, err := o.faults.drive(ctx, g, &config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeOwn()) }()
	report, err := measure(ctx, g, &o.targetOptions, version, func(target engine.Target) (*engine.Report, error) {
		config.Target = target
		if len(o.workers) > 0 {
			return engine.RunWorkers(ctx, config, o.workers)
		}
		return engine.Run(ctx, config)
	})
	if report == nil {
		return err
	}
	broken := report.Assert(claims)
	result := acksAllResult(report)
	err = errors.Join(err, saveBundle(o.out, result, report, o.command))
	result.Footer = append(result.Footer, savedLine(o.out)...)
	return finish(g, result, outcome{
		interrupted: report.Interrupted, verification: report.Verification, broken: broken, replicas: report.Replicas,
	}, err)
}
