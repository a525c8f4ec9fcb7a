package bench

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/exit"
)

func TestFaultCommandLines(t *testing.T) {
	t.Parallel()
	at := "--fault at=100ms_kill-leader" // _ for a space, since lines are split at those
	tests := []struct {
		name, args, stderr string
		want               exit.Status
	}{
		{name: "brokers of others", args: quick + at, want: exit.Usage, stderr: "do not reach the brokers of -B"},
		{name: "no such fault", args: quick + "--fault at=100ms_explode", want: exit.Usage, stderr: "unknown action"},
		{name: "exec without a command", args: quick + "--fault at=100ms_exec", want: exit.Usage, stderr: "--fault-exec does"},
		{name: "nothing to undo with", args: quick + "--fault-exec true " + at + "_for=50ms", want: exit.Usage, stderr: "no command undoes it"},
		{name: "nothing to undo", args: quick + "--recover-exec true", want: exit.Usage},
		{name: "beyond the end", args: quick + "--fault-exec true --fault at=1h_kill", want: exit.Usage, stderr: "not over before the load"},
		{name: "of a sweep", args: quick + "--fault-exec true --sweep 100", want: exit.Usage, stderr: "not with --sweep"},
		{name: "a command", args: quick + "--fault-exec true --verify off --acks all", want: exit.OK},
		{name: "a command that fails", args: quick + "--fault-exec false --verify off --acks all", want: exit.Failed, stderr: "exit status 1"},
		{name: "a failover of others", args: "failover", want: exit.Usage, stderr: "do not reach the brokers of -B"},
		{name: "a claim of a failover", args: failoverQuick + "--fault-exec true --assert unavailable<1ns", want: exit.CheckFailed, stderr: "assertion failed: unavailable<1ns"},
		{name: "selftest of nothing", args: "selftest", want: exit.Usage, stderr: "needs --aa"},
		{name: "selftest of one run", args: "selftest --aa --runs 1", want: exit.Usage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newConsole()
			line := []string{"bench"}
			for _, word := range strings.Fields(tt.args) {
				line = append(line, strings.ReplaceAll(word, "_", " "))
			}
			c.root.SetArgs(append(line, "-B", strings.Join(fakeCluster(t).ListenAddrs(), ",")))
			err := c.root.ExecuteContext(t.Context())
			if got := exit.Of(err); got != tt.want || !strings.Contains(c.err.String()+describeError(err), tt.stderr) {
				t.Errorf("status %d, want %d and %q: %v\n%s", got, tt.want, tt.stderr, err, c.err.String())
			}
		})
	}
}

func describeError(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestFaultCommandsAreToldAndHeard(t *testing.T) {
	t.Parallel()
	call := engine.FaultCall{Verb: "stop", Delay: time.Second, Victim: engine.Victim{Broker: 3, Address: "h:1", Topic: "t", Partition: 4, Leader: 2}}
	run := execDriver(`echo "$CHRONIK_FAULT_ACTION $CHRONIK_FAULT_BROKER $CHRONIK_FAULT_ADDRESS $CHRONIK_FAULT_PARTITION $CHRONIK_FAULT_LEADER $CHRONIK_FAULT_TOPIC $CHRONIK_FAULT_DELAY"; exit 7`, "echo back")
	r := run(t.Context(), call)
	if r.Err == nil || *r.ExitCode != 7 || r.Output != "stop 3 h:1 4 2 t 1s" {
		t.Errorf("got %+v", r)
	}
	call.Verb = engine.FaultRestart
	if r := run(t.Context(), call); r.Err != nil || *r.ExitCode != 0 || r.Output != "back" {
		t.Errorf("undone with %+v", r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if r := execDriver("exec sleep 60", "")(ctx, call); r.Err == nil || r.ExitCode != nil {
		t.Errorf("nothing to undo with: %+v", r)
	}
	call.Verb = engine.FaultKill
	if r := execDriver("exec sleep 60", "")(ctx, call); r.Err == nil || !strings.Contains(r.Err.Error(), "killed") {
		t.Errorf("a command that hangs: %+v", r)
	}
	if r := execDriver("yes | head -c 100000", "")(t.Context(), call); len(r.Output) > maxFaultOutput || len(r.Output) < maxFaultOutput/2 {
		t.Errorf("%d bytes of output are kept", len(r.Output))
	}
}

func TestFailoversAreSaved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "run")
	stdout, stderr, status := newConsole().run(t.Context(), fakeCluster(t), failoverQuick+"--fault-exec pwd --out "+dir)
	if status != exit.OK || !strings.Contains(stdout, "saved      "+dir) {
		t.Fatalf("status %d\n%s%s", status, stdout, stderr)
	}
	want := "events.jsonl lateness-all+idempotent.hgrm lateness.hlog repro.sh report.html response-all+idempotent.hgrm response.hlog result.json service-all+idempotent.hgrm service.hlog"
	if got := strings.Join(files(t, dir), " "); got != strings.ReplaceAll(want, "repro.sh report.html", "report.html repro.sh") {
		t.Errorf("saved %s, want %s", got, want)
	}
	p, err := os.ReadFile(filepath.Join(dir, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var e engine.Event
	if err := json.Unmarshal([]byte(strings.SplitN(string(p), "\n", 2)[0]), &e); err != nil || e.Kind != engine.EventFault || *e.ExitCode != 0 || e.Output == "" {
		t.Errorf("%v: the first event is %s", err, p)
	}
	script, err := os.ReadFile(filepath.Join(dir, "repro.sh"))
	if err != nil || !strings.Contains(string(script), "chronik bench failover") || strings.Contains(string(script), "compare") {
		t.Errorf("%v: %s", err, script)
	}
}

func TestSelftestMeasuresTheNoiseFloor(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "aa")
	stdout, stderr, status := newConsole().run(t.Context(), fakeCluster(t), "selftest --aa --runs 2 --rate 500 --duration 300ms --warmup 0 -o json --out "+dir)
	if status != exit.OK {
		t.Fatalf("status %d\n%s", status, stderr)
	}
	var got struct {
		Schema string
		Data   selftestReport
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.Schema != "chronik.bench.selftest/v1" || got.Data.Runs != 2 || len(got.Data.Floors) != 3 || got.Data.Floors[0].Percent == nil {
		t.Errorf("%v: %+v", err, got)
	}
	again, stderr, status := newConsole().run(t.Context(), nil, "compare "+dir+"/run-1 "+dir+"/run-2 --aa "+dir)
	if status != exit.OK || !strings.Contains(again, "A/A") {
		t.Errorf("status %d\n%s%s", status, again, stderr)
	}
}
