// Package isr is the "chronik isr" command: who is in sync, who is not, how far
// behind, and who holds acks back.
package isr

import (
	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/cli/globals"
)

// NewCommand returns the isr command and its verbs.
func NewCommand(g *globals.Globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "isr <command>",
		Short:   "Show in-sync replicas and who is behind",
		Long:    "Show each partition's in-sync replicas, and how far behind the others are.",
		Example: "  chronik isr show orders",
	}
	cmd.AddCommand(newShow(g))
	return cmd
}
