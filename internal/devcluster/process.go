package devcluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// process is one run of a broker.
type process struct {
	cmd   *exec.Cmd
	ready chan struct{} // closed when it has printed its readiness line
	done  chan struct{} // closed when it has been waited for

	waitErr error // written before done is closed
}

// startProcess runs the command with its log appended to a file. The goroutine
// that it starts ends with the process; stop and kill wait for it.
func startProcess(cmd *exec.Cmd, logPath string) (*process, error) {
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	cmd.Stderr = logFile
	cmd.SysProcAttr = attributes()
	p := &process{cmd: cmd, ready: make(chan struct{}), done: make(chan struct{})}
	started := make(chan error, 1)
	go p.own(logFile, started)
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", cmd.Path, err), logFile.Close())
	}
	return p, nil
}

// own starts the process, says so, and follows it until it ends. It keeps its
// thread all the while: the system counts the end of the thread that started a
// process as the end of its parent, and threads end for many reasons.
func (p *process) own(logFile *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	started <- err
	if err == nil {
		p.follow(stdout, logFile)
	}
}

// follow reads stdout, whose first line means ready, until the process ends.
func (p *process) follow(stdout io.Reader, logFile *os.File) {
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	if err == nil {
		_, err = io.WriteString(logFile, line) // first: who is told may read the log
		close(p.ready)
	}
	if err == nil {
		_, err = io.Copy(logFile, lines)
	}
	// Wait says how the process ended, which explains any error above.
	p.waitErr = p.cmd.Wait()
	if closeErr := logFile.Close(); p.waitErr == nil && err != nil && !errors.Is(err, io.EOF) {
		p.waitErr = errors.Join(err, closeErr)
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// ended reports whether the process has been waited for.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// exitError says how the process ended. It may be asked once done is closed.
func (p *process) exitError() error {
	if p.waitErr == nil {
		return errors.New("exit status 0")
	}
	return p.waitErr
}

func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill: %w", err)
	}
	<-p.done
	return nil
}

// stop asks, waits, and kills: after patience, or when ctx ends.
func (p *process) stop(ctx context.Context, patience time.Duration) error {
	_ = p.resume() // a frozen process cannot stop; one that is not frozen does not mind
	if err := terminate(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return errors.Join(fmt.Errorf("stop: %w", err), p.kill())
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return errors.Join(fmt.Errorf("it did not stop within %s and was killed", patience), p.kill())
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("killed before it had stopped: %w", context.Cause(ctx)), p.kill())
	}
}

// tailBytes is how much of a log is looked at for the reason of a failure.
const tailBytes = 4096

// logTail returns the last lines of a log; empty when there are none.
func logTail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // read only
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return ""
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(len(lines)-8, 0):], "\n")
}
