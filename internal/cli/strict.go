package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/spell"
)

// strict walks the tree once and makes every mistake on the command line a
// usage error with a hint. Left alone, cobra prints help and succeeds when a
// nested command is misspelt, and does not tell such errors from failures.
func strict(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(flagError)
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.RunE = runGroup
		cmd.Args = cobra.ArbitraryArgs
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	} else if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return exit.Usagef("usage: "+cmd.UseLine(), "%s: %w", cmd.CommandPath(), err)
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		strict(sub)
	}
}

// runGroup runs a command that only holds others.
func runGroup(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	if hint := foreignSpelling(cmd, args[0]); hint != "" {
		return exit.Usagef(hint, "unknown command %q for %q", args[0], cmd.CommandPath())
	}
	return exit.Usagef(commandHint(cmd, args[0]), "unknown command %q for %q", args[0], cmd.CommandPath())
}

func commandHint(cmd *cobra.Command, word string) string {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	if near := spell.Nearest(word, names); near != "" {
		return fmt.Sprintf("did you mean %q?", cmd.CommandPath()+" "+near)
	}
	return fmt.Sprintf("%s has: %s", cmd.CommandPath(), strings.Join(names, ", "))
}

// foreignSpelling knows verbs that other Kafka tools use.
func foreignSpelling(cmd *cobra.Command, word string) string {
	same := map[string]string{
		"add": "create", "new": "create", "rm": "delete", "remove": "delete", "get": "list",
		"info": "describe", "show": "describe", "status": "show", "run": "start", "serve": "start",
	}
	for _, sub := range cmd.Commands() {
		if sub.Name() == same[word] {
			return fmt.Sprintf("that is %q here", sub.CommandPath())
		}
	}
	return ""
}

// flagError turns an error of the flag parser into a usage error.
func flagError(cmd *cobra.Command, err error) error {
	hint := cmd.CommandPath() + " --help lists the flags"
	if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if near := spell.Nearest(name, names); near != "" {
			hint = fmt.Sprintf("did you mean --%s?", near)
		}
	}
	return exit.Usagef(hint, "%s: %w", cmd.CommandPath(), err)
}
