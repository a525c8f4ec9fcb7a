package globals

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// defaultWatch is the pause of -w without a value.
const defaultWatch = "2s"

// BindWatch adds --watch to a command that only reads.
func (g *Globals) BindWatch(fs *pflag.FlagSet) {
	fs.DurationVarP(&g.View.Watch, "watch", "w", 0, "show again every `DURATION`; not on a terminal, or with -o json: one object a change")
	fs.Lookup("watch").NoOptDefVal = defaultWatch
}

// Print shows one result on stdout and its failed items on stderr. When any
// item failed the error carries the status and nothing more to say.
func (g *Globals) Print(r *out.Result) error {
	if err := g.print(r, g.outOptions()); err != nil {
		return err
	}
	if len(r.Errors) > 0 {
		return exit.Reported(exit.Failed)
	}
	return nil
}

func (g *Globals) print(r *out.Result, o out.Options) error {
	if err := out.Print(g.Out, o, r); err != nil {
		if unknown, ok := errors.AsType[*out.UnknownColumnError](err); ok {
			return exit.Usagef("", "--columns: %w", unknown)
		}
		return err
	}
	for _, note := range r.Notes {
		g.Notef("%s", note)
	}
	for _, failure := range r.Errors {
		g.Errorf("%s", failure)
		if failure.Hint != "" {
			g.Hintf("%s", failure.Hint)
		}
	}
	return nil
}

func (g *Globals) outOptions() out.Options {
	return out.Options{
		Format:    g.Format(),
		Columns:   g.View.Columns,
		NoHeaders: g.View.NoHeaders,
		Color:     g.Color(),
		Now:       g.Clock,
	}
}

// Build makes the result of a command that only reads.
type Build func(ctx context.Context, client *admin.Client) (*out.Result, error)

// Show connects, builds a result and prints it: once, or with --watch until
// ctx ends. build runs within --timeout each time. The result of a single run
// is returned for checks on it, also when items of it failed.
func (g *Globals) Show(ctx context.Context, build Build) (*out.Result, error) {
	client, err := g.connectWithin(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if g.View.Watch > 0 {
		return nil, g.watch(ctx, client, build)
	}
	r, err := g.once(ctx, client, build)
	if err != nil {
		return nil, err
	}
	return r, g.Print(r)
}

// With connects and calls do within --timeout.
func (g *Globals) With(ctx context.Context, do func(ctx context.Context, client *admin.Client) error) error {
	ctx, cancel := g.WithTimeout(ctx)
	defer cancel()
	client, err := g.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	return do(ctx, client)
}

func (g *Globals) connectWithin(ctx context.Context) (*admin.Client, error) {
	ctx, cancel := g.WithTimeout(ctx)
	defer cancel()
	return g.Connect(ctx)
}

func (g *Globals) once(ctx context.Context, client *admin.Client, build Build) (*out.Result, error) {
	ctx, cancel := g.WithTimeout(ctx)
	defer cancel()
	return build(ctx, client)
}

// watch goes on when a look fails: what is watched is often what is failing.
func (g *Globals) watch(ctx context.Context, client *admin.Client, build Build) error {
	redraw := g.Format().Human() && IsTerminal(g.Out)
	tick := time.NewTicker(g.View.Watch)
	defer tick.Stop()
	last := ""
	for {
		r, err := g.once(ctx, client, build)
		switch {
		case ctx.Err() != nil:
			return exit.Reported(exit.Interrupted) // which is how a watch ends
		case err != nil:
			g.Errorf("%v", err)
		case redraw:
			err = g.redraw(r)
		default:
			last, err = g.printChange(r, last)
		}
		if err != nil && r != nil {
			return err // stdout is gone
		}
		select {
		case <-ctx.Done():
			return exit.Reported(exit.Interrupted)
		case <-tick.C:
		}
	}
}

// redraw paints over the last picture, line by line, so that nothing flickers.
func (g *Globals) redraw(r *out.Result) error {
	var buf bytes.Buffer
	if err := out.Print(&buf, g.outOptions(), r); err != nil {
		return err
	}
	fmt.Fprintf(&buf, "\n%s  every %s, Ctrl-C ends\n", g.Clock().Format(time.TimeOnly), g.View.Watch)
	for _, note := range r.Notes {
		fmt.Fprintf(&buf, "note: %s\n", note)
	}
	for _, failure := range r.Errors {
		fmt.Fprintf(&buf, "error: %s\n", failure)
	}
	picture := "\x1b[H" + strings.ReplaceAll(buf.String(), "\n", "\x1b[K\n") + "\x1b[J"
	_, err := g.Out.Write([]byte(picture))
	return err
}

// printChange prints one line of JSON when the result differs from the last.
func (g *Globals) printChange(r *out.Result, last string) (string, error) {
	now, err := out.Fingerprint(r)
	if err != nil || now == last {
		return last, err
	}
	o := g.outOptions()
	o.Format, o.Compact = out.JSON, true
	return now, g.print(r, o)
}

// Errorf writes one error line to stderr.
func (g *Globals) Errorf(format string, args ...any) { g.say("error: ", format, args...) }

// Hintf writes one line that says what to do next to stderr.
func (g *Globals) Hintf(format string, args ...any) { g.say("hint: ", format, args...) }

// Notef writes one line about how the result came to be to stderr.
func (g *Globals) Notef(format string, args ...any) { g.say("note: ", format, args...) }

// Progressf writes one line about work under way to stderr.
func (g *Globals) Progressf(format string, args ...any) { g.say("", format, args...) }

// say ignores the error of a write to stderr: there is nowhere to report it.
func (g *Globals) say(prefix, format string, args ...any) {
	_, _ = fmt.Fprintf(g.Err, prefix+format+"\n", args...)
}
