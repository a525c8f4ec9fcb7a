//go:build faults && linux

package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/harness"
)

// taskVariable says what a world inside of this one is for.
const taskVariable = "CHRONIK_FAULTS_TASK"

// vanishLimit bounds the end of a world.
const vanishLimit = 20 * time.Second

// TestTask is what the worlds inside of this one run. It does nothing in this.
func TestTask(t *testing.T) {
	switch os.Getenv(taskVariable) {
	case "fail":
		t.Fatal("as it should")
	case "hang":
		// A process that its parent has left, of which a world must get rid.
		if err := exec.Command("sh", "-c", "sleep 600 &").Run(); err != nil {
			t.Fatal(err)
		}
		fmt.Println("\nhanging")
		select {}
	}
}

// world is a test program in namespaces inside of this one's.
type world struct {
	cmd *exec.Cmd
	out *bufio.Reader // ends when no process of it is left
}

func startWorld(t *testing.T, task string) *world {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close() })
	cmd := exec.Command(os.Args[0], "-test.run=^TestTask$", "-test.v")
	cmd.Env = append(os.Environ(), stageVariable+"=", taskVariable+"="+task)
	cmd.Stdout, cmd.Stderr = write, write
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	if err := read.SetReadDeadline(time.Now().Add(vanishLimit)); err != nil {
		t.Fatal(err)
	}
	return &world{cmd: cmd, out: bufio.NewReader(read)}
}

// awaitHanging returns when the task hangs.
func (w *world) awaitHanging(t *testing.T) {
	t.Helper()
	for {
		line, err := w.out.ReadString('\n')
		if err != nil {
			t.Fatalf("waiting for the task: %v", err)
		}
		if line == "hanging\n" {
			return
		}
	}
}

// end returns the status and the rest of the output once every process of the
// world is gone.
func (w *world) end(t *testing.T) (status *os.ProcessState, text string) {
	t.Helper()
	rest, err := io.ReadAll(w.out)
	if err != nil {
		t.Fatalf("processes of the world are left after %v: %v", vanishLimit, err)
	}
	var exit *exec.ExitError
	if err := w.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return w.cmd.ProcessState, string(rest)
}

func TestStatusPassesThrough(t *testing.T) {
	for task, want := range map[string]int{"succeed": 0, "fail": 1} {
		status, text := startWorld(t, task).end(t)
		if status.ExitCode() != want || !strings.Contains(text, "TestTask") {
			t.Errorf("task %q ended with %v, want exit status %d:\n%s", task, status, want, text)
		}
	}
}

// TestSignalsReachTheTests: go test sends SIGQUIT when a test takes too long,
// for its goroutines.
func TestSignalsReachTheTests(t *testing.T) {
	for signal, want := range map[syscall.Signal]struct {
		code int
		text string
	}{
		syscall.SIGQUIT: {2, "host.TestTask"},
		syscall.SIGINT:  {128 + 2, ""},
		syscall.SIGTERM: {128 + 15, ""},
	} {
		w := startWorld(t, "hang")
		w.awaitHanging(t)
		if err := w.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if status, text := w.end(t); status.ExitCode() != want.code || !strings.Contains(text, want.text) {
			t.Errorf("after %v: %v, want exit status %d and %q in:\n%s", signal, status, want.code, want.text, text)
		}
	}
}

// TestNothingOutlivesAKilledWorld kills each process between go test and the
// tests: every other one ends too, and one that nobody waits for as well.
func TestNothingOutlivesAKilledWorld(t *testing.T) {
	for generation, name := range []string{"the outer process", "process 1", "the tests"} {
		w := startWorld(t, "hang")
		w.awaitHanging(t)
		victim := w.cmd.Process.Pid
		for range generation {
			victim = child(t, victim)
		}
		if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if status, _ := w.end(t); status.Success() {
			t.Errorf("after SIGKILL of %s: success", name)
		}
	}
}

// child returns the first child of a process: process 1 has adopted others.
func child(t *testing.T, parent int) int {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	first := 0
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a thread may end
			t.Fatal(err)
		}
		for field := range strings.FieldsSeq(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			if first == 0 || pid < first {
				first = pid
			}
		}
	}
	if first == 0 {
		t.Fatalf("process %d has no children", parent)
	}
	return first
}

// TestOrphansAreReaped leaves a process behind that ends at once.
func TestOrphansAreReaped(t *testing.T) {
	out, err := exec.Command("sh", "-c", "sleep 0.05 >/dev/null & echo $!").Output()
	if err != nil {
		t.Fatal(err)
	}
	stat := fmt.Sprintf("/proc/%s/stat", bytes.TrimSpace(out))
	harness.Await(harness.Within(t, vanishLimit), t, "the orphan to be gone", func(context.Context) error {
		text, err := os.ReadFile(stat)
		if err == nil {
			return fmt.Errorf("it is still there: %s", text)
		}
		return nil
	})
}

// TestTheWorldIsItsOwn looks for what belongs to the machine.
func TestTheWorldIsItsOwn(t *testing.T) {
	text, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	if devices := bytes.Count(text, []byte(":")); devices != 1 || !bytes.Contains(text, []byte("lo:")) {
		t.Errorf("network devices besides lo:\n%s", text)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(processes) > 5 {
		t.Errorf("%d processes, want process 1 and this one (%v)", len(processes), err)
	}
}
