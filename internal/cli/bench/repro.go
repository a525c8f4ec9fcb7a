package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// leftOut are flags that a repetition has no use for, and the password, which a
// result that is passed on must not carry.
var leftOut = []string{"password", "out", "seed", "output", "columns", "no-headers", "color", "verbose"}

// commandLine is the command that runs the same benchmark again: what was set,
// but for where it was saved.
func commandLine(cmd *cobra.Command, seed string) string {
	words := []string{cmd.CommandPath()}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains(leftOut, f.Name) {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			for _, v := range list.GetSlice() {
				words = append(words, "--"+f.Name+"="+quote(v))
			}
			return
		}
		words = append(words, "--"+f.Name+"="+quote(f.Value.String()))
	})
	if seed != "" {
		words = append(words, "--seed="+seed)
	}
	return strings.Join(words, " ")
}

// quote makes one word of the shell.
func quote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,+=@%", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// writeRepro writes a script that runs the benchmark again and compares. What
// comes from the environment and the profile has to be there again.
func writeRepro(w io.Writer, line string) error {
	if err := writeAgain(w, line); err != nil {
		return err
	}
	_, err := io.WriteString(w, "chronik bench compare \"$here\" \"$again\"\n")
	return err
}

// writeAgain writes a script that runs the benchmark again.
func writeAgain(w io.Writer, line string) error {
	_, err := fmt.Fprintf(w, `#!/bin/sh
# Runs this benchmark again and saves it in a new directory.
# Bootstrap servers and credentials that came from a profile, from CHRONIK_...
# variables or as a password are not written here: set them as they were.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
again=${1:-$here-again-$(date +%%Y%%m%%d-%%H%%M%%S)}
%s --out="$again"
`, line)
	return err
}
