// Package cli is the command tree of chronik: the root, what holds for every
// command (global flags, usage errors, exit statuses, error messages), and the
// small commands that belong to no noun. The nouns have packages of their own.
package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// IO is the three streams of the process.
type IO = globals.IO

// Main runs one command line and returns the status to exit with.
func Main(ctx context.Context, args []string, stdio IO, build Build) exit.Status {
	g := globals.New(stdio)
	root := NewRoot(g, build) //nolint:contextcheck // commands get ctx from ExecuteContext
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exit.OK
	}
	return report(ctx, g, cmd, args, err)
}

// report explains a failure and returns its status. With -o json or yaml the
// envelope goes to stdout all the same: a script that parses the result need
// not parse stderr to learn why there is none.
func report(ctx context.Context, g *globals.Globals, cmd *cobra.Command, args []string, err error) exit.Status {
	status := exit.Of(err)
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		status = exit.Interrupted
	}
	own, ok := errors.AsType[*exit.Error](err)
	if ok && own.Reported {
		return status
	}
	e := explain(g, status, err)
	g.Errorf("%s", e.message)
	for _, line := range e.details {
		g.Progressf("  %s", line)
	}
	for _, hint := range e.hints {
		g.Hintf("%s", hint)
	}
	if f, ok := structuredFormat(g, args); ok {
		failed := &out.Result{Schema: schemaOf(cmd), Errors: []out.Failure{e.failure}}
		// stdout may be what failed; the status says so already.
		_ = out.Print(g.Out, out.Options{Format: f, Now: g.Clock}, failed)
	}
	return status
}

// schemaOf names the result of a command after the command.
func schemaOf(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", ".") + "/v1"
}

// structuredFormat returns json or yaml when the command line asks for it,
// even if it could not be parsed.
func structuredFormat(g *globals.Globals, args []string) (out.Format, bool) {
	if f := g.Format(); f.Structured() {
		return f, true
	}
	for i, arg := range args {
		value, found := strings.CutPrefix(arg, "-o")
		if !found {
			value, found = strings.CutPrefix(arg, "--output")
		}
		if !found {
			continue
		}
		if value == "" && i+1 < len(args) {
			value = args[i+1]
		}
		if f, err := out.ParseFormat(strings.TrimPrefix(value, "=")); err == nil && f.Structured() {
			return f, true
		}
	}
	return "", false
}

// explanation is a failure in the parts that are printed.
type explanation struct {
	message string
	details []string
	hints   []string
	failure out.Failure
}

// explain says what went wrong, where, why and what to do next.
func explain(g *globals.Globals, status exit.Status, err error) explanation {
	e := explanation{message: err.Error(), failure: globals.FailureOf("", err)}
	if own, ok := errors.AsType[*exit.Error](err); ok {
		e.details = own.Details
		if own.Hint != "" {
			e.hints = append(e.hints, own.Hint)
		}
	}
	if unreachable, ok := errors.AsType[*admin.UnreachableError](err); ok {
		e.message, e.details = explainUnreachable(unreachable)
		e.hints = append(e.hints, unreachableHints(g, unreachable)...)
		e.failure.Message = strings.Join(append([]string{e.message}, e.details...), "; ")
	}
	switch status {
	case exit.TimedOut:
		if len(e.hints) == 0 {
			e.hints = append(e.hints, "allow more with --timeout (now "+g.Timeout.String()+"); -v shows which broker is slow")
		}
	case exit.Interrupted:
		e.message = "interrupted"
		e.hints = nil
	case exit.OK, exit.Failed, exit.Usage, exit.Unreachable, exit.CheckFailed, exit.VerificationFailed:
	}
	if len(e.hints) == 0 && e.failure.Hint != "" {
		e.hints = append(e.hints, e.failure.Hint)
	}
	e.failure.Hint = strings.Join(e.hints, "; ")
	e.failure.Code = failureCode(e.failure.Code, status)
	return e
}

// failureCode names a failure for scripts: by its Kafka error, else by its
// exit status.
func failureCode(kafka string, status exit.Status) string {
	if kafka != "" {
		return kafka
	}
	switch status {
	case exit.Usage:
		return "USAGE"
	case exit.Unreachable:
		return "UNREACHABLE"
	case exit.CheckFailed:
		return "CHECK_FAILED"
	case exit.VerificationFailed:
		return "VERIFICATION_FAILED"
	case exit.TimedOut:
		return "TIMEOUT"
	case exit.Interrupted:
		return "INTERRUPTED"
	case exit.OK, exit.Failed:
	}
	return "FAILED"
}
