//go:build peers

package peers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// process is a running server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// startProcess starts a process that ends with this one, even if this one is
// killed: the thread that starts it is kept until then.
func startProcess(log, name string, args ...string) (*process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = file, file
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended does not matter
		}
		_ = file.Close()
	}()
	return p, <-started
}

func (p *process) kill() error {
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}

// stopWith ends all processes when the test does, and shows their logs if it has
// failed.
func stopWith(t *testing.T, what string, processes []*process, log func(i int) string) {
	t.Cleanup(func() {
		for _, p := range processes {
			if err := p.kill(); err != nil {
				t.Error(err)
			}
		}
		if !t.Failed() {
			return
		}
		for i := range processes {
			text, _ := os.ReadFile(log(i)) // what there is helps
			t.Logf("the end of %s %d's log:\n%s", what, i+1, text[max(len(text)-4096, 0):])
		}
	})
}

// rssMiB is the resident memory of each server.
func rssMiB(t *testing.T, p peer) []float64 {
	t.Helper()
	var all []float64
	for _, pid := range p.pids() {
		text := proc(t, pid, "statm")
		all = append(all, number(t, string(bytes.Fields(text)[1]))*float64(os.Getpagesize())/(1<<20))
	}
	return all
}

// cpuSeconds is what all servers have used since they started.
func cpuSeconds(t *testing.T, p peer) float64 {
	t.Helper()
	const hertz = 100 // of /proc, on every Linux that Go runs on
	sum := 0.0
	for _, pid := range p.pids() {
		text := proc(t, pid, "stat")
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, f := range fields[11:13] { // user and system time
			sum += number(t, f) / hertz
		}
	}
	return sum
}

// writtenBytes is what all servers have given the disk to write since they
// started.
func writtenBytes(t *testing.T, p peer) float64 {
	t.Helper()
	sum := 0.0
	for _, pid := range p.pids() {
		for line := range bytes.Lines(proc(t, pid, "io")) {
			if value, ok := strings.CutPrefix(string(line), "write_bytes: "); ok {
				sum += number(t, strings.TrimSpace(value))
			}
		}
	}
	return sum
}

func proc(t *testing.T, pid int, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
