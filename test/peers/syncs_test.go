//go:build peers

package peers

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/harness"
	"github.com/chronik-project/chronik/test/peers/table"
)

// syncs proves what each arm does for an ack: how often every server tells its
// disk to write before, per record. Records come one at a time, so that whoever
// syncs once for all that have come meanwhile has one.
func syncs(t *testing.T, s steps, c *contest) {
	l := load{rate: 100, size: 1024, partitions: 6}
	per := map[string][]float64{}
	for _, a := range c.arms() {
		if err := traceSyncs(t, a, func() float64 { return a.offer(t, l, max(*seconds, 3)).all }, func(each []float64) { per[a.label] = each }); err != nil {
			t.Fatal(err)
		}
		progress("  %s: syncs per record on each server %.3g", a.label, per[a.label])
	}
	for _, a := range []arm{c.fsync, c.kafkaFsync, c.natsAlways} {
		for _, n := range per[a.label] {
			if n < 0.5 {
				t.Errorf("%s: a server syncs %.2f times for a record", a.label, n)
			}
		}
	}
	for _, a := range []arm{c.async, c.kafkaShipped, c.natsShipped} {
		for _, n := range per[a.label] {
			if n > 0.25 {
				t.Errorf("%s: a server syncs %.2f times for a record", a.label, n)
			}
		}
	}
	kafka, nats := c.versus()
	for _, v := range append(kafka, nats...) {
		s.add(t, table.Row{
			Name: "syncs per record, on each server", Settings: l.String() + ", counted by strace",
			Ours: v.ours.label, A: per[v.ours.label], Theirs: v.theirs.label, B: per[v.theirs.label],
		})
	}
}

// traceSyncs follows all servers of an arm while load runs, which returns how many
// records were acked.
func traceSyncs(t *testing.T, a arm, load func() float64, found func(each []float64)) error {
	t.Helper()
	dir := t.TempDir()
	var tracers []*exec.Cmd
	for i, pid := range a.pids() {
		cmd := exec.CommandContext(t.Context(), "strace", "-f", "-qq", "-y", "-e", "trace=fsync,fdatasync,openat,write,pwrite64,writev,pwritev",
			"-e", "status=successful", "-s", "0", "-o", filepath.Join(dir, strconv.Itoa(i)), "-p", strconv.Itoa(pid))
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
		if err := cmd.Start(); err != nil {
			return err
		}
		tracers = append(tracers, cmd)
	}
	harness.Pause(t, time.Second) // until they are attached
	records := load()
	var each []float64
	for i, cmd := range tracers {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		_ = cmd.Wait() // it reports the signal
		text, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			return err
		}
		if len(text) == 0 {
			return fmt.Errorf("strace saw nothing of server %d", i+1)
		}
		each = append(each, float64(countSyncs(text))/records)
	}
	found(each)
	return nil
}

var (
	// opened is a file that writes to wait for the disk.
	opened = regexp.MustCompile(`openat\(.*O_D?SYNC.* = \d+<([^>]+)>`)
	wrote  = regexp.MustCompile(`p?writev?(?:64)?\(\d+<([^>]+)>`)
)

// countSyncs counts fsync, fdatasync, and writes to files that were opened with
// O_SYNC or O_DSYNC. A call that another thread's interrupts has two lines, of
// which one counts.
func countSyncs(text []byte) (n int) {
	synced := map[string]bool{}
	for line := range bytes.Lines(text) {
		if m := opened.FindSubmatch(line); m != nil {
			synced[string(m[1])] = true
			continue
		}
		if bytes.Contains(line, []byte("sync(")) {
			n++
		} else if m := wrote.FindSubmatch(line); m != nil && synced[string(m[1])] {
			n++
		}
	}
	return n
}
