package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
	"github.com/chronik-project/chronik/internal/cli/spell"
)

func newErrors(g *globals.Globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "errors <command>",
		Short:   "Explain Kafka error codes",
		Long:    "Explain the error codes of the Kafka protocol: what a code means, whether a\nclient tries again by itself, and what to do about it.",
		Example: "  chronik errors lookup NOT_ENOUGH_REPLICAS",
	}
	cmd.AddCommand(newErrorsLookup(g))
	return cmd
}

func newErrorsLookup(g *globals.Globals) *cobra.Command {
	return &cobra.Command{
		Use:   "lookup [CODE...]",
		Short: "Explain error codes, by number or name; all of them without one",
		Long:  "Explain error codes by number (19) or by name in any spelling\n(NOT_ENOUGH_REPLICAS, NotEnoughReplicas). Without a code, list all of them.\nNo broker is asked.",
		Example: `  chronik errors lookup 19
  chronik errors lookup UnknownTopicOrPartition NOT_LEADER_FOR_PARTITION
  chronik errors lookup -o tsv --columns code,name`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return codeNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error { return lookupErrors(g, args) },
	}
}

func lookupErrors(g *globals.Globals, args []string) error {
	codes := admin.Codes()
	if len(args) > 0 {
		codes = codes[:0]
	}
	var failures []out.Failure
	for _, arg := range args {
		info, ok := admin.LookupCode(arg)
		if !ok {
			failures = append(failures, unknownCode(arg))
			continue
		}
		codes = append(codes, info)
	}
	if len(codes) == 0 && len(failures) == 1 {
		return exit.Failedf(failures[0].Hint, "%s", failures[0])
	}
	return g.Print(codesResult(codes, failures, len(args) == 1))
}

func unknownCode(arg string) out.Failure {
	f := out.Failure{Subject: fmt.Sprintf("code %q", arg), Code: "UNKNOWN_CODE", Message: "Kafka has no such error code"}
	if near := spell.Nearest(arg, codeNames()); near != "" {
		f.Hint = fmt.Sprintf("did you mean %s?", near)
	} else {
		f.Hint = "chronik errors lookup lists all codes"
	}
	return f
}

func codeNames() []string {
	var names []string
	for _, info := range admin.Codes() {
		names = append(names, info.Name)
	}
	return names
}

// codesResult lays codes out: one as a paragraph, several as a table.
func codesResult(codes []admin.CodeInfo, failures []out.Failure, one bool) *out.Result {
	r := &out.Result{Schema: "chronik.errors.lookup/v1", Data: codes, Errors: failures}
	block := out.Block{Grid: out.Grid{Columns: []out.Column{
		{Header: "CODE", Field: "code", Right: true},
		{Header: "NAME", Field: "name"},
		{Header: "RETRIABLE", Field: "retriable"},
		{Header: "DESCRIPTION", Field: "description"},
		{Header: "NEXT", Field: "next", Level: out.WideTSV},
	}}}
	for _, info := range codes {
		r.Names = append(r.Names, info.Name)
		block.Grid.Rows = append(block.Grid.Rows, []out.Cell{
			out.Int(int(info.Code)), out.Text(info.Name), out.YesNo(info.Retriable),
			out.Text(info.Description), out.Text(info.Next),
		})
	}
	if one && len(codes) == 1 {
		info := codes[0]
		block.Prose = []string{
			fmt.Sprintf("%s (%d)", info.Name, info.Code),
			"  " + strings.TrimSuffix(info.Description, ".") + ".",
			"  retriable: " + out.YesNo(info.Retriable).Text,
		}
		if info.Next != "" {
			block.Prose = append(block.Prose, "  next: "+info.Next)
		}
	}
	r.Blocks = []out.Block{block}
	return r
}
