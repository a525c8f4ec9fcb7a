package globals

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/chronik-project/chronik/internal/cli/exit"
)

// Confirm asks on the terminal before something that cannot be undone. The
// default is no. Without a terminal to ask on it is a usage error, and never a
// wait for an answer that cannot come.
func (g *Globals) Confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !IsTerminal(g.In) {
		return exit.Usagef("add --yes (-y) to say so on the command line, or --dry-run to see what would happen",
			"refusing without confirmation: %s", question)
	}
	if _, err := fmt.Fprintf(g.Err, "%s [y/N] ", question); err != nil {
		return exit.Failedf("", "ask: %w", err)
	}
	answer, err := bufio.NewReader(g.In).ReadString('\n')
	if err != nil && answer == "" {
		return exit.Failedf("", "no answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	default:
		return exit.Failedf("", "not confirmed, nothing was done")
	}
}
