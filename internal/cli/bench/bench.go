// Package bench is the "chronik bench" command: one file a verb. A verb binds
// flags, calls the engine in internal/bench, and lays its report out.
package bench

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
	"github.com/chronik-project/chronik/internal/cli/settings"
)

// NewCommand returns the bench command and its verbs. version is chronik's
// own, which every report names.
func NewCommand(g *globals.Globals, version string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench <command>",
		Short: "Measure a cluster, and verify every record",
		Long: `Measure any Kafka-compatible cluster, and verify every record that was acked.

Records go to a temporary topic. Each carries a checksum, and everything is
read back: a benchmark that loses data fails, however fast it was.`,
		Example: `  chronik bench acks-all --rate 1000 --duration 30s
  chronik bench e2e --rate 1000 --duration 30s
  chronik bench produce --records 1000000
  chronik bench consume --consumers 3
  chronik bench failover
  chronik bench compare base/ new/`,
	}
	cmd.AddCommand(newAcksAll(g, version), newE2E(g, version), newProduce(g, version), newConsume(g, version), newCompare(g), newReport(g), newFailover(g, version), newWorker(g, version), newSelftest(g, version))
	return cmd
}

// targetOptions are the flags that every verb has.
type targetOptions struct {
	topic       string
	partitions  int32
	replication int16
	configs     []string
	keepTopic   bool
	recordBytes bytesValue
	ackTimeout  time.Duration
	producers   int
	verify      string
}

// The values of --verify.
const (
	verifyFull   = "full"
	verifySample = "sample"
	verifyOff    = "off"
)

func (o *targetOptions) bind(fs *pflag.FlagSet) {
	o.recordBytes = 1024
	fs.Var(&o.recordBytes, "record-size", "`SIZE` of a record's value, such as 100, 1KiB")
	fs.Int32VarP(&o.partitions, "partitions", "p", 6, "number of partitions of the temporary topic")
	fs.Int16VarP(&o.replication, "replication-factor", "r", 0, "its number of replicas (default 3, or as many as there are brokers)")
	fs.StringArrayVarP(&o.configs, "config", "c", nil, "set a `KEY=VALUE` of the temporary topic; may be repeated")
	fs.StringVar(&o.topic, "topic", "", "use this existing `TOPIC` instead, and never delete it")
	fs.BoolVar(&o.keepTopic, "keep-topic", false, "do not delete the temporary topic")
	fs.StringVar(&o.verify, "verify", verifyFull, "`HOW` to check what was acked: full (read everything back), sample (a tenth of each partition) or off")
	fs.DurationVar(&o.ackTimeout, "ack-timeout", 10*time.Second, "`DURATION` that the brokers may take to answer a produce request")
	fs.IntVar(&o.producers, "producers", 1, "number of clients that share the load")
	settings.Alias(fs, "size", "record-size")
	settings.Alias(fs, "replicas", "replication-factor")
	settings.Alias(fs, "topic-config", "config")
}

// bindCompletions completes the values of the flags above and of more.
func bindCompletions(g *globals.Globals, cmd *cobra.Command, more map[string][]string) {
	complete := map[string]cobra.CompletionFunc{
		"topic":  g.CompleteTopics,
		"out":    cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		"verify": cobra.FixedCompletions([]string{verifyFull, verifySample, verifyOff}, cobra.ShellCompDirectiveNoFileComp),
	}
	for flag, values := range more {
		complete[flag] = cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder)
	}
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		fn := complete[flag.Name]
		if fn == nil {
			fn = cobra.NoFileCompletions
		}
		if err := cmd.RegisterFlagCompletionFunc(flag.Name, fn); err != nil {
			panic(err) // the flag exists: it was visited
		}
	})
}

// target turns the flags into what the engine takes. It makes sure first that
// a broker answers: the error then names each address that was tried.
func (o *targetOptions) target(ctx context.Context, g *globals.Globals, version string) (engine.Target, error) {
	configs, err := parseConfigs(o.configs)
	if err != nil {
		return engine.Target{}, err
	}
	switch o.verify {
	case verifyFull, verifySample, verifyOff:
	default:
		return engine.Target{}, exit.Usagef("", "--verify: %q is not full, sample or off", o.verify)
	}
	if o.topic != "" && (len(configs) > 0 || o.keepTopic) {
		return engine.Target{}, exit.Usagef("", "--topic names a topic that exists: --config and --keep-topic are about a temporary one")
	}
	adm, err := g.AdminOptions()
	if err != nil {
		return engine.Target{}, err
	}
	adm.ClientID = "chronik-bench"
	opts, err := adm.ClientOpts()
	if err != nil {
		return engine.Target{}, err
	}
	ctx, cancel := g.WithTimeout(ctx)
	defer cancel()
	probe, err := g.Connect(ctx)
	if err != nil {
		return engine.Target{}, err
	}
	probe.Close()
	return engine.Target{
		Client: opts, Topic: o.topic, Partitions: o.partitions, Replicas: o.replication, TopicConfigs: configs,
		KeepTopic: o.keepTopic, RecordBytes: int(o.recordBytes), AckTimeout: o.ackTimeout, Producers: o.producers,
		SkipVerify: o.verify == verifyOff, SampleVerify: o.verify == verifySample, Version: version,
	}, nil
}

func parseConfigs(items []string) (map[string]string, error) {
	configs := make(map[string]string, len(items))
	for _, item := range items {
		key, value, ok := strings.Cut(item, "=")
		if !ok || key == "" {
			return nil, exit.Usagef("for example -c min.insync.replicas=2", "--config: %q is not KEY=VALUE", item)
		}
		configs[key] = value
	}
	return configs, nil
}

// usage gives the engine's complaint about a configuration its exit status.
func usage(err error) error {
	switch {
	case errors.Is(err, engine.ErrConfig):
		return exit.Usagef("", "%w", err)
	case errors.Is(err, engine.ErrUnreachable):
		return &exit.Error{Status: exit.Unreachable, Err: err}
	default:
		return err
	}
}

// measure runs a benchmark on the target that the flags name, with its progress
// on stderr. An error beside a report concerns what came after.
func measure[R any](ctx context.Context, g *globals.Globals, o *targetOptions, version string, run func(engine.Target) (*R, error)) (*R, error) {
	target, err := o.target(ctx, g, version)
	if err != nil {
		return nil, err
	}
	defer relaxGC()()
	line := newProgress(g)
	target.OnProgress = line.show
	report, err := run(target)
	line.end()
	if report == nil {
		return nil, usage(err)
	}
	return report, err
}

// relaxGC collects less often while a benchmark runs: the client's pauses
// would be measured as the cluster's. The report counts what is left of them.
func relaxGC() (restore func()) {
	before := debug.SetGCPercent(gcPercent)
	return func() { debug.SetGCPercent(before) }
}

// gcPercent lets the heap grow fivefold between collections.
const gcPercent = 400

// outcome is what decides the exit status of a run that has a report.
type outcome struct {
	interrupted  bool
	verification *engine.Verification
	broken       []engine.Assertion
	replicas     *engine.ReplicaCheck // nil: not compared
}

// finish prints the result and turns the outcome into a status: data that is
// not there weighs more than a claim that does not hold, and that more than
// records that failed.
func finish(g *globals.Globals, r *out.Result, o outcome, cleanup error) error {
	err := g.Print(r)
	if own, ok := errors.AsType[*exit.Error](err); err != nil && (!ok || !own.Reported) {
		return err
	}
	if cleanup != nil {
		g.Errorf("%v", cleanup)
		err = exit.Reported(exit.Failed)
	}
	switch v := o.verification; {
	case v != nil && !v.OK && (v.Complete || !o.interrupted):
		g.Errorf("verification failed: %s", verdict(v))
		return exit.Reported(exit.VerificationFailed)
	case o.replicas != nil && len(o.replicas.Diverged) > 0:
		g.Errorf("verification failed: %s differ from their leaders", plural(len(o.replicas.Diverged), "replica"))
		return exit.Reported(exit.VerificationFailed)
	case o.interrupted:
		return exit.Reported(exit.Interrupted)
	case len(o.broken) > 0:
		for _, a := range o.broken {
			g.Errorf("assertion failed: %s (%s)", a.Text, a.Detail)
		}
		return exit.Reported(exit.CheckFailed)
	}
	return err
}
