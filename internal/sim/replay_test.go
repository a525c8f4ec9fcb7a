package sim

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReplay takes a schedule in which something is found and runs it again: as
// this process does, which must see the same though it did not look before, and
// twice by the command that is printed, whose output must be the same to the
// byte.
func TestReplay(t *testing.T) {
	const name = "R13"
	m := mutations[slices.IndexFunc(mutations, func(m mutation) bool { return m.name == name })]
	var sum summary
	seed, failure := explore(m.rule, *firstFlag, uint64(m.budget), &sum)
	if failure == nil {
		t.Fatal("nothing found")
	}
	again := newWorld(seed, m.rule, true)
	again.run(stepCount)
	if again.failure == nil || again.failure.Error() != failure.Error() {
		t.Fatalf("seed %d: found %v, and when replayed %v", seed, failure, again.failure)
	}

	command := replayCommand(seed, m.rule)
	first, second := printed(t, command), printed(t, command)
	if !bytes.Equal(first, second) {
		t.Errorf("%s printed two things:\n%s\n%s", command, first, second)
	}
	for _, line := range again.trace {
		if !bytes.Contains(first, []byte(line)) {
			t.Fatalf("%s did not print %q, but\n%s", command, line, first)
		}
	}
}

var duration = regexp.MustCompile(`\(?\d+\.\d+s\)?`)

// printed is what this test binary prints when it is told to do what the command
// says; how long it took apart.
func printed(t *testing.T, command string) []byte {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(strings.TrimPrefix(command, "go test ./internal/sim "))
	for i := range args {
		args[i] = strings.Replace(args[i], "-run", "-test.run", 1)
	}
	out, err := exec.CommandContext(t.Context(), self, args...).CombinedOutput()
	if err == nil {
		t.Fatalf("%s: found nothing:\n%s", command, out)
	}
	var lines [][]byte
	for line := range bytes.SplitSeq(out, []byte("\n")) {
		if bytes.HasPrefix(bytes.TrimSpace(line), []byte("--- FAIL")) {
			line = duration.ReplaceAll(line, nil)
		}
		lines = append(lines, line)
	}
	return bytes.Join(lines, []byte("\n"))
}
