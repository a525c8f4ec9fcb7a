package bench

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/settings"
)

// loadOptions are the flags of every verb that offers load on a schedule.
type loadOptions struct {
	targetOptions
	acks        string
	rate        rateValue
	arrival     string
	seed        uint64
	duration    time.Duration
	warmup      time.Duration
	warmupMax   time.Duration
	maxBuffered int
	assert      string
	traces      string
	out         string
	command     func(seed string) string // the command line that runs it again
}

// bindSchedule binds when records are due. The words say whose rate and whose
// time it is.
func (o *loadOptions) bindSchedule(fs *pflag.FlagSet, whose, shared string) {
	o.rate = 1000
	fs.Var(&o.rate, "rate", "`RECORDS` per second"+whose+", such as 1000, 20k")
	fs.DurationVar(&o.duration, "duration", 10*time.Second, "measured `DURATION`"+shared)
	fs.DurationVar(&o.warmup, "warmup", 3*time.Second, "least `DURATION` of load before it that is not measured"+shared+"; 0 for none")
	fs.DurationVar(&o.warmupMax, "warmup-max", time.Minute, "`DURATION` at which the warm-up ends that has not settled")
	fs.StringVar(&o.arrival, "arrival", string(engine.Uniform), "`PROCESS` that spaces the records: uniform or poisson")
	fs.Uint64Var(&o.seed, "seed", 0, "`NUMBER` that makes poisson arrivals repeatable (default random)")
	settings.Alias(fs, "throughput", "rate")
}

// bindOutcome binds what becomes of the result.
func (o *loadOptions) bindOutcome(fs *pflag.FlagSet) {
	fs.IntVar(&o.maxBuffered, "max-buffered", 0, "records that may wait in a client; more are shed, which is a failure (default 5 s of load)")
	fs.StringVar(&o.traces, "traces", tracesAuto, "`WHERE` brokers serve traces: auto (they say so), off, or BROKER=HOST:PORT,...")
	fs.StringVar(&o.assert, "assert", "", "exit with status 4 unless all `CLAIMS` hold, such as p99<10ms,loss==0")
	fs.StringVar(&o.out, "out", "", "save the result and the histograms in this new `DIR`")
}

// repeatedBy notes the command line, for the script that runs it again.
func (o *loadOptions) repeatedBy(cmd *cobra.Command) {
	o.command = func(seed string) string { return commandLine(cmd, seed) }
}

func (o *loadOptions) config() (engine.Config, []engine.Assertion, error) {
	arms, err := engine.ParseArms(o.acks)
	if err != nil {
		return engine.Config{}, nil, usage(err)
	}
	arrival, err := engine.ParseArrival(strings.ToLower(o.arrival))
	if err != nil {
		return engine.Config{}, nil, usage(err)
	}
	claims, err := engine.ParseAssertions(o.assert)
	if err != nil {
		return engine.Config{}, nil, usage(err)
	}
	addrs, skipTraces, err := parseTraces(o.traces)
	if err != nil {
		return engine.Config{}, nil, err
	}
	warmup := o.warmup
	if warmup == 0 {
		warmup = -1 // the engine's zero is its default
	}
	return engine.Config{
		Arms: arms, Rate: float64(o.rate), Arrival: arrival, Seed: o.seed,
		Duration: o.duration, Warmup: warmup, WarmupMax: o.warmupMax, MaxBuffered: o.maxBuffered,
		KeepIntervals: o.out != "", SkipTraces: skipTraces, TraceAddrs: addrs,
	}, claims, nil
}

// armNames lists every acks setting.
func armNames() []string {
	names := make([]string, 0, len(engine.Arms()))
	for _, arm := range engine.Arms() {
		names = append(names, string(arm))
	}
	return names
}

// oneArm reads an acks setting where there can be only one.
func oneArm(s string) (engine.Arm, error) {
	arms, err := engine.ParseArms(s)
	if err != nil {
		return "", usage(err)
	}
	if len(arms) != 1 {
		return "", exit.Usagef("acks-all compares several", "--acks: want one setting, not %d", len(arms))
	}
	return arms[0], nil
}

// fetchOptions are the flags of every verb that consumes.
type fetchOptions struct {
	minBytes          bytesValue
	maxBytes          bytesValue
	maxPartitionBytes bytesValue
	maxWait           time.Duration
}

func (o *fetchOptions) bind(fs *pflag.FlagSet) {
	o.minBytes, o.maxBytes, o.maxPartitionBytes = 1, 50<<20, 1<<20
	fs.Var(&o.minBytes, "fetch-min-bytes", "`SIZE` that a broker waits for before it answers a fetch")
	fs.Var(&o.maxBytes, "fetch-max-bytes", "largest `SIZE` of an answer")
	fs.Var(&o.maxPartitionBytes, "fetch-max-partition-bytes", "largest `SIZE` of what an answer has of one partition")
	fs.DurationVar(&o.maxWait, "fetch-max-wait", 5*time.Second, "`DURATION` that a broker may wait for --fetch-min-bytes")
}

func (o *fetchOptions) fetching() engine.Fetching {
	return engine.Fetching{
		MinBytes: int32(o.minBytes), MaxBytes: int32(o.maxBytes), MaxPartitionBytes: int32(o.maxPartitionBytes),
		MaxWaitMillis: max(o.maxWait.Milliseconds(), 1),
	}
}
