package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/chronik-project/chronik/internal/cli/exit"
)

// complete returns what TAB offers, without the directive line.
func complete(t *testing.T, args ...string) string {
	t.Helper()
	r := run(t, append([]string{"__complete"}, args...)...).must(t, exit.OK)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	return strings.Join(lines[:len(lines)-1], "\n")
}

func TestCompleteTopics(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	c, brokers := fake(t, kfake.SeedTopics(1, "orders", "orders-dead", "payments"))
	if got := complete(t, "-B", brokers, "topic", "describe", "ord"); got != "orders\norders-dead" {
		t.Errorf("ord completes to %q", got)
	}
	c.Close()
	if got := complete(t, "-B", brokers, "topic", "delete", "orders", ""); got != "orders-dead\npayments" {
		t.Errorf("from the cache, and without what is there already: %q", got)
	}
}

func TestCompleteWithoutAClusterIsQuickAndSaysWhy(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	silent := silentAddress(t)
	began := time.Now()
	first := complete(t, "-B", silent, "isr", "show", "")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the first TAB took %s", took)
	}
	if !strings.Contains(first, "_activeHelp_ no topic names from "+silent) {
		t.Errorf("first TAB: %q", first)
	}
	began = time.Now()
	complete(t, "-B", silent, "isr", "show", "")
	if took := time.Since(began); took > 300*time.Millisecond {
		t.Errorf("the failure is not remembered: the second TAB took %s", took)
	}
}

func TestCompleteValues(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"formats", []string{"topic", "list", "-o", ""}, "table\nwide\njson\nyaml\ntsv\nname"},
		{"states", []string{"isr", "show", "--only", ""}, "at-min-isr\nlagging\nnot-ok\noffline\nunder-min-isr\nunder-replicated"},
		{"verbs", []string{"topic", "de"}, "delete\tDelete topics with all their data\ndescribe\tShow a topic's settings, partitions and replicas"},
		{"error names", []string{"errors", "lookup", "NOT_ENOUGH_REPLICAS_"}, "NOT_ENOUGH_REPLICAS_AFTER_APPEND"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := complete(t, tc.args...); !strings.HasPrefix(got, tc.want) && !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
