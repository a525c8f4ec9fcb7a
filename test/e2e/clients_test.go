//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

// clientTimeout bounds one run of a client; a Java virtual machine on a busy
// machine takes seconds to start.
const clientTimeout = time.Minute

// cluster is three brokers and the clients that know their addresses.
type cluster struct {
	*devcluster.Cluster
	bootstrap string
	jars      string
}

func start(t *testing.T) *cluster {
	t.Helper()
	for _, client := range []string{"kcat", "java"} {
		if _, err := exec.LookPath(client); err != nil {
			t.Fatalf("%v: run scripts/clients.sh", err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	jars := filepath.Join(cache, "chronik-ci", "kafka")
	if _, err := os.Stat(jars); err != nil {
		t.Fatalf("the tools of Apache Kafka: %v: run scripts/clients.sh", err)
	}
	brokers := harness.Start(t, devcluster.Options{})
	return &cluster{Cluster: brokers, bootstrap: strings.Join(brokers.Bootstrap(), ","), jars: jars}
}

// run runs a program to its end and returns its standard output. A failure
// shows what it wrote to standard error.
func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(harness.Within(t, clientTimeout), name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String()
}

// chronik runs the binary under test as a client.
func (c *cluster) chronik(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "", harness.Binary(), append(args, "--bootstrap-server", c.bootstrap)...)
}

// kcat runs kcat against the cluster.
func (c *cluster) kcat(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	return run(t, stdin, "kcat", append([]string{"-b", c.bootstrap, "-q"}, args...)...)
}

// kafka runs a command line tool of Apache Kafka, named by its class.
func (c *cluster) kafka(t *testing.T, stdin, class string, args ...string) string {
	t.Helper()
	java := []string{
		// Short lived: compile little, hold little.
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m",
		"-cp", filepath.Join(c.jars, "*"), "org.apache.kafka.tools." + class,
		"--bootstrap-server", c.bootstrap,
	}
	return run(t, stdin, "java", append(java, args...)...)
}

// equal compares what a client printed with what it had to, and shows the
// first line that differs rather than two long texts.
func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	gotLines, wantLines := strings.SplitAfter(got, "\n"), strings.SplitAfter(want, "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Errorf("%s: line %d is %q, want %q", what, i+1, gotLines[i], wantLines[i])
			return
		}
	}
	t.Errorf("%s: %d lines, want %d", what, len(gotLines)-1, len(wantLines)-1)
}

// sortedLines makes outputs comparable whose order is not promised.
func sortedLines(s string) string {
	lines := strings.SplitAfter(s, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}
