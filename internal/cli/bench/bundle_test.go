package bench

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chronik-project/chronik/internal/cli/exit"
)

// files lists a directory tree.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func TestRunsAreSaved(t *testing.T) {
	t.Parallel()
	cluster := fakeCluster(t)
	dir := filepath.Join(t.TempDir(), "new", "run")
	args := quick + "--acks all,1 --out " + dir
	stdout, stderr, status := newConsole().run(t.Context(), cluster, args)
	if status != exit.OK || !strings.Contains(stdout, "saved      "+dir) {
		t.Fatalf("status %d\n%s%s", status, stdout, stderr)
	}
	want := "events.jsonl lateness-1.hgrm lateness-all.hgrm lateness.hlog report.html repro.sh response-1.hgrm response-all.hgrm response.hlog result.json service-1.hgrm service-all.hgrm service.hlog stages.hlog"
	if got := strings.Join(files(t, dir), " "); got != want {
		t.Errorf("saved %s, want %s", got, want)
	}
	p, err := os.ReadFile(filepath.Join(dir, "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	var result struct{ Schema string }
	if err := json.Unmarshal(p, &result); err != nil || result.Schema != "chronik.bench.acks-all/v1" {
		t.Errorf("result.json: %v, schema %q", err, result.Schema)
	}
	if _, stderr, status := newConsole().run(t.Context(), cluster, args); status != exit.Usage {
		t.Errorf("saved over another run: status %d, %s", status, stderr)
	}
}

func TestSweepsAreSaved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, stderr, status := newConsole().run(t.Context(), fakeCluster(t), quick+"--acks all --sweep 100,200 --out "+dir)
	if status != exit.OK {
		t.Fatalf("status %d\n%s", status, stderr)
	}
	want := "01-100/lateness-all.hgrm 01-100/lateness.hlog 01-100/report.html 01-100/response-all.hgrm 01-100/response.hlog 01-100/service-all.hgrm 01-100/service.hlog 01-100/stages.hlog " +
		"02-200/lateness-all.hgrm 02-200/lateness.hlog 02-200/report.html 02-200/response-all.hgrm 02-200/response.hlog 02-200/service-all.hgrm 02-200/service.hlog 02-200/stages.hlog result.json"
	if got := strings.Join(files(t, dir), " "); got != want {
		t.Errorf("saved %s, want %s", got, want)
	}
}
