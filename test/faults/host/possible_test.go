//go:build linux

package host

import (
	"os"
	"strings"
	"testing"
)

// TestWhatIsMissingIsSaid holds without root too.
func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	found := func(tool string) (string, error) { return "/sbin/" + tool, nil }
	if err := possible(0, found); err != nil {
		t.Error(err)
	}
	if err := possible(1000, found); err == nil || !strings.Contains(err.Error(), "need root") {
		t.Errorf("user 1000: %v, want that it needs root", err)
	}
	missing := func(string) (string, error) { return "", os.ErrNotExist }
	if err := possible(0, missing); err == nil || !strings.Contains(err.Error(), "scripts/faults.sh") {
		t.Errorf("no tools: %v, want what installs them", err)
	}
}
