package host

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chronik-project/chronik/test/harness"
)

// MainOf is [Main] for programs whose tests wait more than they compute: every
// test that is to run has a world of its own, in which it is the only one, and
// so many of these exist at the same time. What a test prints comes when it ends.
//
// With one world, or if part of a test is asked for, or a profile of the
// program, it is Main. The flags must have been parsed.
func MainOf(m *testing.M, worlds int) int {
	if os.Getenv(stageVariable) != "" || worlds < 2 || !divisible() {
		return Main(m)
	}
	status, err := apart(worlds)
	if err != nil {
		return failed(err)
	}
	return status
}

// divisible tells whether the tests can run in several programs.
func divisible() bool {
	for _, name := range []string{"test.list", "test.bench", "test.fuzz", "test.coverprofile", "test.cpuprofile", "test.memprofile", "test.blockprofile", "test.mutexprofile", "test.trace"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return !strings.Contains(flag.Lookup("test.run").Value.String(), "/")
}

// apart builds the binary and runs this program once for each test.
func apart(worlds int) (status int, err error) {
	dir, err := os.MkdirTemp("", "chronik-faults-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := harness.Build(dir); err != nil {
		return 0, err
	}
	tests, err := list()
	if err != nil {
		return 0, err
	}
	return newProgram(tests).run(worlds), nil
}

// list names the tests that are to run.
func list() ([]string, error) {
	pattern := flag.Lookup("test.run").Value.String()
	if pattern == "" {
		pattern = "."
	}
	cmd := exec.CommandContext(context.Background(), os.Args[0], "-test.list", pattern)
	cmd.Env = append(os.Environ(), stageVariable+"="+stageTests)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("list the tests: %w: %s", err, out)
	}
	return strings.Fields(string(out)), nil
}

// program is the tests of one program, each of which has a process.
type program struct {
	command func(test string) *exec.Cmd
	print   func(output []byte)

	mu      sync.Mutex
	left    []string              // guarded by mu
	running map[*process]struct{} // guarded by mu
	status  int                   // guarded by mu
}

// process is one test.
type process struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	err    error // what became of it
}

func newProgram(tests []string) *program {
	return &program{command: alone, left: tests, running: map[*process]struct{}{}, print: func(output []byte) {
		_, _ = os.Stdout.Write(output) // as testing does
	}}
}

// alone is this program, with one test.
func alone(test string) *exec.Cmd {
	// Of two flags the last counts.
	args := slices.Concat(os.Args[1:], []string{"-test.run", "^" + test + "$"})
	cmd := exec.CommandContext(context.Background(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), stageVariable+"="+stageWorld)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run returns the exit status: that of the first process that had one.
func (p *program) run(worlds int) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	var passing, working sync.WaitGroup
	passing.Go(func() {
		for s := range signals {
			p.pass(s)
		}
	})
	for range worlds {
		working.Go(p.work)
	}
	working.Wait()
	signal.Stop(signals)
	close(signals)
	passing.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	verdict := "PASS\n"
	if p.status != 0 {
		verdict = "FAIL\n"
	}
	p.print([]byte(verdict))
	return p.status
}

// work runs one test after another.
func (p *program) work() {
	// The death of the thread that started a process counts as the parent's.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for one := p.next(); one != nil; one = p.next() {
		if one.err == nil {
			one.err = one.cmd.Wait()
		}
		p.ended(one)
	}
}

// next starts the next test, if there is one.
func (p *program) next() *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.left) == 0 {
		return nil
	}
	one := &process{cmd: p.command(p.left[0])}
	p.left = p.left[1:]
	one.cmd.Stdout, one.cmd.Stderr = &one.output, &one.output
	if one.err = one.cmd.Start(); one.err == nil {
		p.running[one] = struct{}{}
	}
	return one
}

// ended prints what a process has printed, but for its verdict.
func (p *program) ended(one *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, one)
	output := one.output.Bytes()
	for _, verdict := range []string{"PASS\n", "FAIL\n"} {
		output = bytes.TrimSuffix(output, []byte(verdict))
	}
	const marker = "\x16" // of lines for programs
	p.print(bytes.TrimSuffix(output, []byte(marker)))
	if one.err == nil {
		return
	}
	status := 1
	if exit := (*exec.ExitError)(nil); !errors.As(one.err, &exit) {
		p.print(fmt.Appendf(nil, "%s: %v\n", one.cmd, one.err))
	} else if code := exit.ExitCode(); code > 0 {
		status = code
	}
	if p.status == 0 {
		p.status = status
	}
}

// pass hands a signal on to all that run. No other test begins.
func (p *program) pass(s os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = nil
	for one := range p.running {
		_ = one.cmd.Process.Signal(s) // it may just have ended
	}
	if p.status == 0 {
		p.status = 128 + int(s.(unix.Signal))
	}
}
