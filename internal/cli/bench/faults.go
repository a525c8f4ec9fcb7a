package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/devcluster"
)

// faultOptions are the flags of a fault timeline.
type faultOptions struct {
	timeline    []string
	exec        string
	recoverExec string
	brokers     int
	elsewhere   bool // -B was given
}

func (o *faultOptions) bind(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringArrayVar(&o.timeline, "fault", nil, "`FAULT` under load, such as 'at=30s kill-leader for=10s'; may be repeated (see above)")
	fs.StringVar(&o.exec, "fault-exec", "", "shell `COMMAND` that inflicts faults on any cluster (see above)")
	fs.StringVar(&o.recoverExec, "recover-exec", "", "shell `COMMAND` that undoes them")
	fs.IntVar(&o.brokers, "brokers", 3, "brokers of the cluster that --fault starts")
}

// parse reads the timeline. A command without one runs in the middle of the load.
func (o *faultOptions) parse(duration time.Duration) ([]engine.FaultStep, error) {
	if len(o.timeline) == 0 && o.exec != "" {
		o.timeline = []string{fmt.Sprintf("at=%s exec-leader", duration/2)}
	}
	if o.recoverExec != "" && o.exec == "" {
		return nil, exit.Usagef("", "--recover-exec undoes what --fault-exec did")
	}
	var steps []engine.FaultStep
	for _, text := range o.timeline {
		step, err := engine.ParseFault(text)
		if err != nil {
			return nil, usage(err)
		}
		switch {
		case step.Verb == engine.FaultExec && o.exec == "":
			return nil, exit.Usagef("", "--fault %q: exec is what --fault-exec does", text)
		case o.exec != "" && o.recoverExec == "" && step.For > 0:
			return nil, exit.Usagef("--recover-exec names it", "--fault %q: no command undoes it", text)
		}
		steps = append(steps, step)
	}
	if len(steps) == 0 || o.exec != "" {
		return steps, nil
	}
	return steps, checkOwn(o.brokers, o.elsewhere)
}

// checkOwn refuses what a cluster of the command's own cannot be.
func checkOwn(brokers int, elsewhere bool) error {
	if brokers < 3 || brokers > devcluster.MaxBrokers {
		return exit.Usagef("fewer have no majority without one", "--brokers: want 3 to %d", devcluster.MaxBrokers)
	}
	if elsewhere {
		return exit.Usagef("--fault-exec says how; without -B the command starts brokers of its own", "--fault: this machine's own means do not reach the brokers of -B")
	}
	return nil
}

// startOwn starts a cluster for faults and points the command at it. Links cost a
// hop, so only faults that need them get them.
func startOwn(ctx context.Context, g *globals.Globals, brokers int, links bool) (*devcluster.Cluster, error) {
	g.Notef("starting %d brokers on this machine", brokers)
	cluster, err := devcluster.Start(ctx, devcluster.Options{Brokers: brokers, Links: links})
	if err != nil {
		return nil, err
	}
	g.Seeds = cluster.Bootstrap()
	return cluster, nil
}

// drive gives the run whoever inflicts its faults, and starts the brokers that they
// hit. stop ends those.
func (o *faultOptions) drive(ctx context.Context, g *globals.Globals, c *engine.Config) (stop func() error, err error) {
	switch {
	case len(c.Faults) == 0:
	case o.exec != "":
		c.FaultDriver, c.FaultsStay = execDriver(o.exec, o.recoverExec), o.recoverExec == ""
	default:
		links := slices.ContainsFunc(c.Faults, func(s engine.FaultStep) bool { return needLinks(s.Verb) })
		cluster, err := startOwn(ctx, g, o.brokers, links)
		if err != nil {
			return nil, err
		}
		c.FaultDriver = ownDriver(cluster)
		return func() error { return cluster.Close(context.WithoutCancel(ctx)) }, nil
	}
	return func() error { return nil }, nil
}

// needLinks reports whether a verb acts on what brokers send each other.
func needLinks(verb string) bool { return verb == engine.FaultIsolate || verb == engine.FaultSlow }

// ownDriver inflicts faults on a cluster that the command started.
func ownDriver(cluster *devcluster.Cluster) engine.FaultDriver {
	return func(ctx context.Context, call engine.FaultCall) engine.FaultResult {
		i, ok := cluster.Index(int(call.Victim.Broker))
		if !ok {
			return engine.FaultResult{Err: fmt.Errorf("broker %d is not one of this cluster", call.Victim.Broker)}
		}
		return engine.FaultResult{Err: onOwn(ctx, cluster, i, call)}
	}
}

func onOwn(ctx context.Context, cluster *devcluster.Cluster, i int, call engine.FaultCall) error {
	switch call.Verb {
	case engine.FaultKill:
		return cluster.Kill(i)
	case engine.FaultStop:
		return cluster.Stop(ctx, i)
	case engine.FaultPause:
		return cluster.Pause(i)
	case engine.FaultResume:
		return cluster.Resume(i)
	case engine.FaultIsolate:
		return cluster.Isolate(i)
	case engine.FaultSlow:
		return cluster.Delay(i, call.Delay)
	case engine.FaultHeal:
		return cluster.Heal(i)
	case engine.FaultRestart:
		if err := cluster.Stop(ctx, i); err != nil && !errors.Is(err, devcluster.ErrStopped) {
			return err
		}
		return cluster.Restart(ctx, i)
	default:
		return fmt.Errorf("a cluster of this command's own does not know %q", call.Verb)
	}
}

// execDriver has the user's commands inflict faults and undo them.
func execDriver(inflict, recovery string) engine.FaultDriver {
	return func(ctx context.Context, call engine.FaultCall) engine.FaultResult {
		command := inflict
		switch call.Verb {
		case engine.FaultRestart, engine.FaultResume, engine.FaultHeal, engine.FaultRecover:
			if recovery == "" {
				return engine.FaultResult{Err: fmt.Errorf("no --recover-exec to %s with", call.Verb)}
			}
			command = recovery
		}
		return runFaultCommand(ctx, command, call)
	}
}

// Bounds of a command.
const (
	maxFaultOutput = 4096            // bytes, the last of what it printed
	faultWaitDelay = 2 * time.Second // for its children to let go of its output, once it has ended
)

// runFaultCommand runs a shell command that is told of the fault, until ctx ends.
func runFaultCommand(ctx context.Context, command string, call engine.FaultCall) engine.FaultResult {
	v := call.Victim
	cmd := exec.CommandContext(ctx, "sh", "-c", command) //nolint:gosec // the user asked for it
	cmd.Env = append(os.Environ(),
		"CHRONIK_FAULT_ACTION="+call.Verb, "CHRONIK_FAULT_TOPIC="+v.Topic,
		fmt.Sprintf("CHRONIK_FAULT_BROKER=%d", v.Broker), "CHRONIK_FAULT_ADDRESS="+v.Address,
		fmt.Sprintf("CHRONIK_FAULT_PARTITION=%d", v.Partition), fmt.Sprintf("CHRONIK_FAULT_LEADER=%d", v.Leader),
		"CHRONIK_FAULT_DELAY="+call.Delay.String())
	output := &ending{}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = output, output, faultWaitDelay
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it left something running in the background, which is its business
	}
	result := engine.FaultResult{Output: output.String()}
	if code := cmd.ProcessState.ExitCode(); cmd.ProcessState != nil && code >= 0 {
		result.ExitCode = &code
	}
	switch {
	case ctx.Err() != nil:
		result.Err = fmt.Errorf("%s: killed: %w", command, context.Cause(ctx))
	case err != nil:
		result.Err = fmt.Errorf("%s: %w: %s", command, err, result.Output)
	}
	return result
}

// ending keeps the last bytes that are written to it.
type ending struct{ buf bytes.Buffer }

func (e *ending) Write(p []byte) (int, error) {
	e.buf.Write(p)
	if over := e.buf.Len() - maxFaultOutput; over > 0 {
		e.buf.Next(over)
	}
	return len(p), nil
}

func (e *ending) String() string { return strings.ToValidUTF8(strings.TrimSpace(e.buf.String()), "?") }
