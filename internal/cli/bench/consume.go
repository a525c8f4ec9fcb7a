package bench

import (
	"context"

	"github.com/spf13/cobra"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/settings"
)

// consumeOptions is the command line of bench consume.
type consumeOptions struct {
	targetOptions
	fetch       fetchOptions
	records     countValue
	consumers   int
	compression string
}

func newConsume(g *globals.Globals, version string) *cobra.Command {
	o := consumeOptions{records: 1_000_000}
	cmd := &cobra.Command{
		Use:   "consume",
		Short: "Measure how fast a topic is read, and verify every record",
		Long: `Read a topic from its start to where it ended when the reading began, as fast as
it goes, and check every record.

Without --topic a temporary topic is filled first, with idempotent acks=all, and
what was acked must be there: once, intact, in order, where its ack said. What was
just written is often in memory still: for reads from the disk, fill a topic that
is larger (bench produce --keep-topic), or read an old one.

With --topic, whatever is there is read. Records that this tool wrote earlier are
checked for damage, duplicates and order. What is missing between them is shown,
and is no failure: it may have failed when it was produced, or been deleted since.
Of records that others wrote nothing is known.

The consumers share the partitions, in no group. Times count from opening them, so
connecting is in the rate; first_record_ms says how long that took. Bytes are those
of keys and values after decompression. The check of each record's checksum is in
the rate too; --verify off leaves it out.

Exit status: 5 when verification fails.`,
		Example: `  chronik bench consume
  chronik bench consume -n 5M --record-size 100 --consumers 3
  chronik bench consume --topic orders --fetch-max-partition-bytes 4MiB --verify off
  chronik bench produce -n 10M --keep-topic && chronik bench consume --topic chronik-bench-7f3a0001`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return consume(cmd.Context(), g, o, version)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.VarP(&o.records, "records", "n", "`COUNT` of records to fill the temporary topic with, such as 1000000, 500k, 2M")
	fs.IntVar(&o.consumers, "consumers", 1, "number of clients that share the partitions")
	o.fetch.bind(fs)
	fs.StringVar(&o.compression, "compression", "snappy", "`CODEC` to fill it with: none, gzip, snappy, lz4 or zstd")
	o.bind(fs)
	settings.Alias(fs, "num-records", "records")
	settings.Alias(fs, "messages", "records")
	bindCompletions(g, cmd, map[string][]string{"compression": codecs})
	return cmd
}

func consume(ctx context.Context, g *globals.Globals, o consumeOptions, version string) error {
	report, err := measure(ctx, g, &o.targetOptions, version, func(target engine.Target) (*engine.ConsumeReport, error) {
		return engine.RunConsume(ctx, engine.ConsumeConfig{
			Target: target, Records: int64(o.records), Consumers: o.consumers, Compression: o.compression, Fetch: o.fetch.fetching(),
		})
	})
	if report == nil {
		return err
	}
	return finish(g, consumeResult(report), outcome{
		interrupted: report.Interrupted, verification: report.Verification,
	}, err)
}
