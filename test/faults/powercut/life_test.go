//go:build faults && linux

package powercut

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/chronik-project/chronik/test/faults/disk"
)

// plan is how a life ends.
type plan struct {
	// after is when the power is cut, counted from the start of the process, or
	// from the end of its recovery if ready is set.
	after time.Duration
	ready bool
	// writeback is how long before that the kernel starts to write everything
	// out; zero: it does not.
	writeback time.Duration
	// operation is the change to the disk, counted from the start, that the
	// power is cut at if it comes before that; zero: none. keep is what of a
	// write is done before. Only a Faulty disk can do it.
	operation, keep int
}

// account is what a life said.
type account struct {
	isReady  bool
	recovery time.Duration
	torn     int64
	replayed int64
	verified int64
	runs     [partitions][]run
	acked    [partitions]int64
	bad      []string
	stale    int
	// ended says that the writer ended by itself: it does not start on this disk.
	ended bool
}

// readyLimit bounds a recovery.
const readyLimit = time.Minute

// live runs a writer, cuts the power as planned, and brings the disk back. An
// error means that nothing can be concluded.
func live(ctx context.Context, d disk.Volatile, o order, p plan) (*account, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), orderVariable+"="+string(text), "GOMAXPROCS=2")
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it never ends by itself
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var off <-chan struct{}
	if f, ok := d.(*disk.Faulty); ok && p.operation > 0 {
		off = f.PowerOff()
		defer f.Inject(disk.Rule{Op: disk.OpChange, Skip: p.operation - 1, Times: 1, PowerCut: true, Keep: p.keep}).Remove()
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	a := &account{}
	ready, heard := make(chan struct{}), make(chan error, 1)
	go func() { heard <- a.listen(out, ready) }()

	early, err := p.await(ctx, ready, off, heard)
	if err == nil && !early {
		err = p.cut(ctx, d)
	}
	_ = cmd.Process.Kill() // it may have ended by itself
	if !early {
		err = errors.Join(err, <-heard)
	}
	_ = cmd.Wait()
	if early {
		a.ended = true
		a.bad = append(a.bad, fmt.Sprintf("the writer ended by itself: %v: %s", cmd.ProcessState, strings.TrimSpace(stderr.String())))
	}
	return a, errors.Join(err, d.Remount())
}

// await waits for the moment of the cut. It is early if the writer ends before.
func (p plan) await(ctx context.Context, ready, off <-chan struct{}, heard <-chan error) (early bool, err error) {
	limit := time.NewTimer(readyLimit)
	defer limit.Stop()
	if p.ready {
		select {
		case <-ready:
		case <-off:
			return false, nil
		case <-heard:
			return true, nil
		case <-limit.C:
			return false, errors.New("the writer does not get ready")
		}
	}
	return pause(ctx, p.after-p.writeback, off, heard)
}

// pause waits on the real clock, or until the power is off.
func pause(ctx context.Context, d time.Duration, off <-chan struct{}, heard <-chan error) (early bool, err error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false, nil
	case <-off:
		return false, nil
	case <-heard:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// cut takes the power, perhaps while the kernel writes back.
func (p plan) cut(ctx context.Context, d disk.Volatile) error {
	ext4, ok := d.(*disk.Ext4)
	if !ok || p.writeback == 0 {
		return d.PowerCut()
	}
	written := make(chan error, 1)
	go func() { written <- ext4.Writeback() }()
	_, err := pause(ctx, p.writeback, nil, nil)
	err = errors.Join(err, d.PowerCut())
	<-written // it fails, or came before the cut
	return err
}

// listen notes what the writer says until it is dead. What it wrote into the
// pipe before it was killed counts.
func (a *account) listen(out io.Reader, ready chan<- struct{}) error {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if err := a.note(lines.Text()+"\n", ready); err != nil {
			return fmt.Errorf("the writer said %q: %w", lines.Text(), err)
		}
	}
	return lines.Err()
}

func (a *account) note(line string, ready chan<- struct{}) (err error) {
	var p int
	switch kind, rest, _ := strings.Cut(line, " "); kind {
	case "run":
		var r run
		if _, err = fmt.Sscanf(line, sayRun, &p, &r.life, &r.first, &r.end); err == nil {
			a.runs[p] = append(a.runs[p], r)
		}
	case "ack":
		var end int64
		if _, err = fmt.Sscanf(line, sayAck, &p, &end); err == nil {
			a.acked[p] = end
		}
	case "ready":
		var micros int64
		_, err = fmt.Sscanf(line, sayReady, &micros, &a.torn, &a.replayed, &a.verified)
		a.recovery = time.Duration(micros) * time.Microsecond
		a.isReady = true
		close(ready)
	case "stale":
		a.stale++
	case "bad":
		a.bad = append(a.bad, strings.TrimSpace(rest))
	default:
		err = errors.New("not a line of the protocol")
	}
	return err
}
