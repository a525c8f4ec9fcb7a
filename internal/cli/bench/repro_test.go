package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chronik-project/chronik/internal/cli/exit"
)

func TestARunCanBeRepeated(t *testing.T) {
	t.Parallel()
	cluster := fakeCluster(t)
	dir := filepath.Join(t.TempDir(), "it's a run")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := newConsole()
	c.root.SetArgs([]string{
		"bench", "acks-all", "-B", strings.Join(cluster.ListenAddrs(), ","), "--rate", "500", "--duration", "300ms", "--warmup", "0", "--arrival", "poisson",
		"--acks", "all", "-c", "a=b c", "-c", "min.insync.replicas=2", "--assert", "p50<1m,loss==0", "--out", dir, "-o", "json", "--size", "100",
	})
	if err := c.root.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, c.err.String())
	}
	path := filepath.Join(dir, "repro.sh")
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"chronik bench acks-all ", " --rate=500 ", " --duration=300ms ", " --config='a=b c' --config=min.insync.replicas=2", " --assert='p50<1m,loss==0'",
		" --bootstrap-server=" + cluster.ListenAddrs()[0], " --seed=", `--out="$again"`, `chronik bench compare "$here" "$again"`, "=100 ",
	} {
		if !strings.Contains(string(p), want) {
			t.Errorf("repro.sh lacks %q:\n%s", want, p)
		}
	}
	for _, bad := range []string{"it's", "json", "password"} {
		if strings.Contains(strings.ReplaceAll(string(p), "as a password", ""), bad) {
			t.Errorf("repro.sh contains %q:\n%s", bad, p)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-n", path).CombinedOutput(); err != nil {
		t.Errorf("repro.sh is no script: %v\n%s", err, out)
	}
	if info, err := os.Stat(path); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("repro.sh cannot be run: %v, %v", info.Mode(), err)
	}
}

func TestPasswordsAreNotSaved(t *testing.T) {
	t.Parallel()
	var line string
	c := newConsole()
	bench, _, err := c.root.Find([]string{"bench", "acks-all"})
	if err != nil {
		t.Fatal(err)
	}
	if err := bench.ParseFlags([]string{"--password", "secret", "--user", "me", "--rate", "2k"}); err != nil {
		t.Fatal(err)
	}
	line = commandLine(bench, "")
	if strings.Contains(line, "secret") || !strings.Contains(line, "--user=me") || !strings.Contains(line, "--rate=2000") {
		t.Errorf("got %s", line)
	}
}

func TestSavedRunsAreShownAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	saveSample(t, dir, 1, 1, nil)
	remove(t, dir, pageFile)
	stdout, stderr, status := newConsole().run(t.Context(), nil, "report "+dir)
	if status != exit.OK || !strings.Contains(stdout, "LATENCY OF") || !strings.Contains(stdout, "page       "+filepath.Join(dir, pageFile)) {
		t.Fatalf("status %d\n%s%s", status, stdout, stderr)
	}
	p, err := os.ReadFile(filepath.Join(dir, pageFile))
	if err != nil || !strings.Contains(string(p), "Latency over time") {
		t.Errorf("the page: %v", err)
	}
	if _, _, status := newConsole().run(t.Context(), nil, "report "+t.TempDir()); status != exit.Usage {
		t.Errorf("no run: status %d", status)
	}
}
