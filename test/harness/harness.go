// Package harness is what the tests of whole clusters stand on: the chronik
// binary, built once per test program, brokers started from it that end with
// the test, and waiting that says what it waited for.
package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chronik-project/chronik/internal/devcluster"
)

// command is the package that Main builds.
const command = "github.com/chronik-project/chronik/cmd/chronik"

// binaryVariable names the binary for the tests of this process. Build sets it,
// unless somebody has: then that one is tested, a release for example.
const binaryVariable = "CHRONIK_TEST_BINARY"

// Main builds the binary, runs the tests and returns their exit status.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "chronik-test-")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary directory, and nothing to be done about it
	if err := Build(dir); err != nil {
		return failed(err)
	}
	return m.Run()
}

// Build builds the binary in dir, for this process and those that it starts.
func Build(dir string) error {
	if Binary() != "" {
		return nil
	}
	binary := filepath.Join(dir, "chronik")
	args := append([]string{"build", "-o", binary}, raceFlags...)
	build := exec.CommandContext(context.Background(), "go", append(args, command)...)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", command, err, out)
	}
	return os.Setenv(binaryVariable, binary)
}

func failed(err error) int {
	_, _ = fmt.Fprintln(os.Stderr, err)
	return 1
}

// Binary returns the path of the binary under test: what Build built.
func Binary() string { return os.Getenv(binaryVariable) }

// Start starts brokers from the binary, with data directories of the test,
// and stops them with it.
func Start(t *testing.T, options devcluster.Options) *devcluster.Cluster {
	t.Helper()
	options.Binary = Binary()
	options.Dir = t.TempDir()
	brokers, err := devcluster.Start(t.Context(), options)
	Report(t, err)
	if err != nil {
		t.FailNow()
	}
	t.Cleanup(func() {
		Report(t, brokers.Close(context.WithoutCancel(t.Context())))
		CheckLogs(t, brokers)
	})
	return brokers
}

// tailBytes is how much of a log a failed test shows.
const tailBytes = 4 << 10

// dataRace is what the race detector writes to a broker's log.
const dataRace = "WARNING: DATA RACE"

// CheckLogs fails the test if a broker that has ended reported a data race or
// a panic, and shows the ends of all logs if the test has failed.
func CheckLogs(t testing.TB, brokers *devcluster.Cluster) {
	t.Helper()
	for _, b := range brokers.Brokers() {
		text, err := os.ReadFile(b.Log)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, sign := range []string{dataRace, "\npanic: ", "\nfatal error: "} {
			if at := bytes.Index(text, []byte(sign)); at >= 0 {
				t.Errorf("broker %d's log:\n%s", b.ID, text[at:min(at+tailBytes, len(text))])
			}
		}
		if t.Failed() {
			t.Logf("the end of broker %d's log:\n%s", b.ID, text[max(len(text)-tailBytes, 0):])
		}
	}
}

// Report fails the test if there is an error, with the end of the broker's log
// if there is a broker to blame.
func Report(t testing.TB, err error) {
	t.Helper()
	var blamed *devcluster.BrokerError
	if errors.As(err, &blamed) {
		t.Error(blamed.LogTail)
	}
	if err != nil {
		t.Error(err)
	}
}
