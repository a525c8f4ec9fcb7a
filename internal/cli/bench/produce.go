package bench

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/settings"
)

// produceOptions is the command line of bench produce.
type produceOptions struct {
	targetOptions
	records     countValue
	warmup      int64
	acks        string
	linger      time.Duration
	compression string
}

func newProduce(g *globals.Globals, version string) *cobra.Command {
	o := produceOptions{records: 1_000_000}
	cmd := &cobra.Command{
		Use:   "produce",
		Short: "Measure how many records a cluster takes, and verify every one",
		Long: `Produce records as fast as the cluster takes them, then read every one back.

The client has the settings its library (franz-go) ships with: idempotent
acks=all, 10 ms of linger, snappy. Records are random bytes and do not shrink.
The ack times are mostly those of the client's own queue: use acks-all for
latency.

Exit status: 1 when a record failed, 5 when verification fails.`,
		Example: `  chronik bench produce
  chronik bench produce --records 5M --record-size 100 --producers 2
  chronik bench produce --linger 0 --compression none --acks 1`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return produce(cmd.Context(), g, o, version)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.VarP(&o.records, "records", "n", "`COUNT` of records, such as 1000000, 500k, 2M")
	fs.Int64Var(&o.warmup, "warmup-records", 10_000, "records before them that are not measured")
	fs.StringVar(&o.acks, "acks", string(engine.AcksAllIdempotent), "`ACKS` to ask for: all+idempotent, all, 1 or 0")
	fs.DurationVar(&o.linger, "linger", 10*time.Millisecond, "`DURATION` that the client waits for a batch to fill")
	fs.StringVar(&o.compression, "compression", "snappy", "`CODEC`: none, gzip, snappy, lz4 or zstd")
	o.bind(fs)
	settings.Alias(fs, "num-records", "records")
	bindCompletions(g, cmd, map[string][]string{
		"acks":        armNames(),
		"compression": codecs,
	})
	return cmd
}

// codecs are the values of --compression.
var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

func (o produceOptions) config() (engine.ProduceConfig, error) {
	arm, err := oneArm(o.acks)
	if err != nil {
		return engine.ProduceConfig{}, err
	}
	c := engine.ProduceConfig{
		Records: int64(o.records), WarmupRecords: o.warmup, Arm: arm, Linger: o.linger, Compression: o.compression,
	}
	if c.WarmupRecords == 0 {
		c.WarmupRecords = -1 // the engine's zero is its default
	}
	if c.Linger == 0 {
		c.Linger = -1
	}
	return c, nil
}

func produce(ctx context.Context, g *globals.Globals, o produceOptions, version string) error {
	config, err := o.config()
	if err != nil {
		return err
	}
	report, err := measure(ctx, g, &o.targetOptions, version, func(target engine.Target) (*engine.ProduceReport, error) {
		config.Target = target
		return engine.RunProduce(ctx, config)
	})
	if report == nil {
		return err
	}
	return finish(g, produceResult(report), outcome{
		interrupted: report.Interrupted, verification: report.Verification,
	}, err)
}
