//go:build linux

package host

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/harness"
)

// shells makes a program whose tests are shell scripts, and returns what it prints.
func shells(scripts ...string) (p *program, printed func() []string) {
	var all []string
	p = newProgram(scripts)
	p.command = func(script string) *exec.Cmd { return exec.Command("sh", "-c", script) }
	p.print = func(output []byte) { all = append(all, string(output)) }
	return p, func() []string { return all }
}

// TestEveryTestRunsInAProcess: each runs once, what it prints stays together, and
// there is one verdict.
func TestEveryTestRunsInAProcess(t *testing.T) {
	t.Parallel()
	p, printed := shells("echo 1; echo one; echo PASS", "echo 2; echo two >&2; printf '\026PASS\n'", "echo 3; echo PASS")
	if status := p.run(2); status != 0 {
		t.Errorf("status %d, want 0", status)
	}
	all := printed()
	if last := len(all) - 1; all[last] != "PASS\n" {
		t.Errorf("at last: %q", all[last])
	}
	slices.Sort(all)
	if got, want := strings.Join(all, "|"), "1\none\n|2\ntwo\n|3\n|PASS\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// TestOneFailureFailsTheProgram: and the others run all the same.
func TestOneFailureFailsTheProgram(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]int{"echo FAIL; exit 3": 3, "kill -9 $$": 1} {
		p, printed := shells("true", script, "echo after")
		if status := p.run(1); status != want {
			t.Errorf("%s: status %d, want %d", script, status, want)
		}
		if got := strings.Join(printed(), ""); got != "after\nFAIL\n" {
			t.Errorf("%s: printed %q", script, got)
		}
	}
}

// TestWorldsExistAtTheSameTime: each of two tests waits for the other.
func TestWorldsExistAtTheSameTime(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	p, printed := shells("echo met >"+pipe, "cat "+pipe)
	if status := p.run(2); status != 0 {
		t.Errorf("status %d, want 0", status)
	}
	if got := strings.Join(printed(), ""); got != "met\nPASS\n" {
		t.Errorf("printed %q", got)
	}
}

// TestSignalEndsTheProgram: it reaches who runs, and nobody starts any more.
func TestSignalEndsTheProgram(t *testing.T) {
	t.Parallel()
	begun := filepath.Join(t.TempDir(), "begun")
	p, printed := shells("echo >"+begun+"; exec sleep 60", "echo after")
	status := make(chan int)
	go func() { status <- p.run(1) }()
	harness.Await(harness.Within(t, 20*time.Second), t, "the first test", func(context.Context) error {
		_, err := os.Stat(begun)
		return err
	})
	p.pass(syscall.SIGTERM)
	if got := <-status; got != 128+15 {
		t.Errorf("status %d, want that of the signal", got)
	}
	if got := strings.Join(printed(), ""); got != "FAIL\n" {
		t.Errorf("printed %q", got)
	}
}
