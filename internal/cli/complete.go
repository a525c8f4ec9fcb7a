package cli

import (
	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// bindCompletions completes the values of the global flags. An error can only
// be a flag that does not exist, which is a mistake in this file.
func bindCompletions(root *cobra.Command, _ *globals.Globals) {
	none := cobra.NoFileCompletions
	for flag, complete := range map[string]cobra.CompletionFunc{
		"output":           cobra.FixedCompletions(out.Formats(), cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder),
		"color":            cobra.FixedCompletions([]string{"auto", "always", "never"}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder),
		"sasl-mechanism":   cobra.FixedCompletions(admin.Mechanisms(), cobra.ShellCompDirectiveNoFileComp),
		"bootstrap-server": none,
		"columns":          none,
		"timeout":          none,
		"user":             none,
		"password":         none,
	} {
		if err := root.RegisterFlagCompletionFunc(flag, complete); err != nil {
			panic("completion of --" + flag + ": " + err.Error())
		}
	}
}
