package cluster

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/chronik-project/chronik/test/harness"
)

// TestDocumentedConfigurations checks the command lines that the README starts
// brokers with, and the configuration that packages install: all are accepted
// as they stand.
func TestDocumentedConfigurations(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	configurations := [][]string{{"--config", "../../packaging/chronik.yaml"}}
	for line := range strings.Lines(string(readme)) {
		if args, ok := strings.CutPrefix(line, "chronik server start"); ok {
			configurations = append(configurations, strings.Fields(args))
		}
	}
	if len(configurations) != 5 {
		t.Errorf("%d configurations, want the packages' one, one broker and three", len(configurations))
	}
	for _, args := range configurations {
		check := exec.CommandContext(t.Context(), harness.Binary(), append([]string{"server", "config"}, args...)...)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("server config %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
