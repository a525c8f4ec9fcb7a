package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/cli/bench"
	"github.com/chronik-project/chronik/internal/cli/dev"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/isr"
	"github.com/chronik-project/chronik/internal/cli/replication"
	"github.com/chronik-project/chronik/internal/cli/serve"
	"github.com/chronik-project/chronik/internal/cli/settings"
	"github.com/chronik-project/chronik/internal/cli/topic"
	"github.com/chronik-project/chronik/internal/server"
)

// Groups of the root's help, in its order.
const (
	groupRun     = "run"
	groupOperate = "operate"
	groupOther   = "other"
)

// A command that only holds others is made runnable, so that it can refuse a
// misspelt one; its usage line stays that of a group.
const (
	usageOfCobra = `{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]{{end}}`
	usageOfOurs = `
  {{if .HasAvailableSubCommands}}{{.CommandPath}} <command> [flags]{{else}}{{.UseLine}}{{end}}`
)

// NewRoot returns the command tree on g.
func NewRoot(g *globals.Globals, build Build) *cobra.Command {
	root := &cobra.Command{
		Use:   "chronik <command>",
		Short: "A Kafka-compatible broker, and the toolkit to operate it",
		Long: `chronik is a broker that speaks the Kafka protocol, and the operator's toolkit
for it. acks=all means: on disk, fsynced, on every in-sync replica.

The toolkit works with any Kafka-compatible cluster; -B names its brokers.

Exit status: 0 done, 1 the operation or an item of it failed, 2 wrong usage,
3 no connection or refused credentials, 4 a check found something, 5 data is
missing or differs, 124 --timeout passed, 130 interrupted.`,
		Example: `  chronik server start                         one broker on 127.0.0.1:9092
  chronik dev up                               three brokers on this machine
  chronik topic create orders -p 6 -r 3        and wait until it can be used
  chronik isr show --check                     exit 4 unless every replica is in sync`,
		SilenceUsage:               true,
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return configure(g, cmd)
		},
	}
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), usageOfCobra, usageOfOurs, 1))
	root.SetIn(g.In)
	root.SetOut(g.Out)
	root.SetErr(g.Err)
	root.PersistentFlags().SortFlags = false
	g.Bind(root.PersistentFlags())
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run brokers:"},
		&cobra.Group{ID: groupOperate, Title: "Operate a cluster:"},
		&cobra.Group{ID: groupOther, Title: "Other:"},
	)
	addCommands(root, g, build)
	root.SetHelpCommandGroupID(groupOther)
	root.SetCompletionCommandGroupID(groupOther)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	bindCompletions(root, g)
	strict(root)
	return root
}

// addCommands lists the tree, one noun a line.
func addCommands(root *cobra.Command, g *globals.Globals, build Build) {
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
		}
		root.AddCommand(commands...)
	}
	version := build.withDefaults().Version
	add(groupRun, serve.NewCommand(g, version, server.Run), dev.NewCommand(g, version))
	add(groupOperate,
		topic.NewCommand(g),
		isr.NewCommand(g),
		replication.NewCommand(g),
		bench.NewCommand(g, version),
	)
	add(groupOther,
		newErrors(g),
		newVersion(g, build),
		newDocs(),
	)
}

// configure completes the flags: the global ones from the environment, and all
// of a command with a settings file from the environment and the file.
func configure(g *globals.Globals, cmd *cobra.Command) error {
	own := cmd.LocalNonPersistentFlags()
	if !settings.TakesFile(own) {
		return applyGlobals(g, cmd)
	}
	file, err := settings.FileOf(own)
	if err != nil {
		hint := cmd.CommandPath() + " --help lists the keys: the flags, with _ for -"
		if unknown, ok := errors.AsType[*settings.UnknownKeyError](err); ok && unknown.Near != "" {
			hint = fmt.Sprintf("did you mean %q?", unknown.Near)
		}
		return exit.Usagef(hint, "--config: %w", err)
	}
	if g.Settings, err = settings.Apply(own, file); err != nil {
		return exit.Usagef("", "%w", err)
	}
	return applyGlobals(g, cmd)
}

func applyGlobals(g *globals.Globals, cmd *cobra.Command) error {
	if _, err := settings.Apply(cmd.Root().PersistentFlags(), nil); err != nil {
		return exit.Usagef("", "%w", err)
	}
	return g.Validate()
}
