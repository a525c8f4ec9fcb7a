package dev

import (
	"context"
	"io"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/bench"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/isr"
	"github.com/chronik-project/chronik/internal/cli/out"
	"github.com/chronik-project/chronik/internal/cli/replication"
)

// next begins a step.
func (d *demonstration) next(format string, args ...any) {
	d.step++
	d.g.Progressf("")
	d.g.Progressf("[%d] "+format, append([]any{d.step}, args...)...)
}

// say adds a line to a step.
func (d *demonstration) say(format string, args ...any) {
	d.g.Progressf("    "+format, args...)
}

// stage is where the pictures between the steps go: to stdout for people, to
// stderr when stdout is for a machine.
func (d *demonstration) stage() io.Writer {
	if d.g.Format().Human() {
		return d.g.Out
	}
	return d.g.Err
}

func (d *demonstration) picture(r *out.Result) error {
	for _, note := range r.Notes {
		d.g.Notef("%s", note)
	}
	for _, failure := range r.Errors {
		d.g.Errorf("%s", failure)
	}
	return out.Print(d.stage(), out.Options{Color: d.g.Color()}, r)
}

// showISR prints what "isr show" prints.
func (d *demonstration) showISR(ctx context.Context) error {
	ctx, cancel := d.g.WithTimeout(ctx)
	defer cancel()
	report, err := d.client.ISR(ctx, admin.ISRQuery{Selectors: []admin.Selector{{Topic: demoTopic, Partition: admin.AllPartitions}}})
	if err != nil {
		return err
	}
	return d.picture(isr.Result(report, report.Partitions, false))
}

// showChange prints what the kill did to the in-sync sets.
func (d *demonstration) showChange(ctx context.Context) error {
	d.next("look at who is in sync now: chronik isr show %s", demoTopic)
	now, err := d.partition0(ctx)
	if err != nil {
		return err
	}
	d.say("partition 0: leader %d -> %d, leader epoch %s -> %s, in sync %s -> %s", d.before.Leader, now.Leader,
		out.OptInt(d.before.LeaderEpoch).Text, out.OptInt(now.LeaderEpoch).Text, out.IDs(d.before.ISR).Text, out.IDs(now.ISR).Text)
	return d.showISR(ctx)
}

// showReplication prints what "isr show" and "replication status" print.
func (d *demonstration) showReplication(ctx context.Context) error {
	d.next("look at the cluster: chronik isr show, chronik replication status")
	if err := d.showISR(ctx); err != nil {
		return err
	}
	ctx, cancel := d.g.WithTimeout(ctx)
	defer cancel()
	report, err := d.client.Replication(ctx)
	if err != nil {
		return err
	}
	return d.picture(replication.Result(report))
}

// bench runs "bench acks-all" as a user would, for a few seconds.
func (d *demonstration) bench(ctx context.Context) error {
	if d.o.noBench {
		return nil
	}
	d.next("measure: chronik bench acks-all --rate 1000 --duration 6s --warmup 1500ms")
	own := globals.New(globals.IO{In: d.g.In, Out: d.stage(), Err: d.g.Err})
	own.Seeds, own.Timeout, own.View.Color = d.cluster.Bootstrap(), d.g.Timeout, d.g.View.Color
	cmd := bench.NewCommand(own, d.o.version) //nolint:contextcheck // it gets ctx from ExecuteContext
	cmd.SetArgs([]string{"acks-all", "--rate", "1000", "--duration", "6s", "--warmup", "1500ms"})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(ctx)
	d.report.BenchIncluded = err == nil
	if exit.Of(err) == exit.VerificationFailed {
		return err
	}
	if err != nil {
		return exit.Failedf("", "benchmark: %w", err)
	}
	return nil
}
