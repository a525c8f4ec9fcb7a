// Package harness is what the tests of whole clusters stand on: the chronik
// binary, built once per test program, brokers started from it that end with
// the test, and waiting that says what it waited for.
package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chronik-project/chronik/internal/devcluster"
)

// command is the package that Main builds.
const command = "github.com/chronik-project/chronik/cmd/chronik"

// binaryVariable names the binary for the tests of this process; Main sets it.
const binaryVariable = "CHRONIK_TEST_BINARY"

// Main builds the binary, runs the tests and returns their exit status.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "chronik-test-")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary directory, and nothing to be done about it
	binary := filepath.Join(dir, "chronik")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", binary, command)
	if out, err := build.CombinedOutput(); err != nil {
		return failed(fmt.Errorf("build %s: %w\n%s", command, err, out))
	}
	if err := os.Setenv(binaryVariable, binary); err != nil {
		return failed(err)
	}
	return m.Run()
}

func failed(err error) int {
	_, _ = fmt.Fprintln(os.Stderr, err)
	return 1
}

// Binary returns the path of the binary that Main built.
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
		if t.Failed() {
			LogTails(t, brokers)
		}
	})
	return brokers
}

// Report fails the test if there is an error, with the end of the broker's log
// if there is a broker to blame.
func Report(t *testing.T, err error) {
	t.Helper()
	var blamed *devcluster.BrokerError
	if errors.As(err, &blamed) {
		t.Error(blamed.LogTail)
	}
	if err != nil {
		t.Error(err)
	}
}

// tailBytes is how much of each broker's log a failed test shows.
const tailBytes = 4 << 10

// LogTails shows the end of each broker's log.
func LogTails(t *testing.T, brokers *devcluster.Cluster) {
	t.Helper()
	for _, b := range brokers.Brokers() {
		tail, err := readTail(b.Log)
		if err != nil {
			tail = err.Error()
		}
		t.Logf("the end of broker %d's log:\n%s", b.ID, strings.TrimSpace(tail))
	}
}

func readTail(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // read only
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	from := max(info.Size()-tailBytes, 0)
	text, err := io.ReadAll(io.NewSectionReader(file, from, info.Size()-from))
	return string(text), err
}
