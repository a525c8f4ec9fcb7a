//go:build peers

package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

// jvm is how Kafka's own start script runs a broker, with its heap.
var jvm = []string{
	"-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
	"-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true",
}

// kafka is Apache Kafka in KRaft mode, each process broker and controller.
type kafka struct {
	dir       string
	addresses []string
	processes []*java
}

// prepareKafka formats three brokers with the shipped defaults, but for what three
// brokers on one machine need.
func prepareKafka(t *testing.T) *kafka {
	t.Helper()
	k := &kafka{dir: t.TempDir(), processes: make([]*java, 3)}
	k.configure(t)
	t.Cleanup(func() {
		for i := range k.processes {
			if err := k.kill(i); err != nil {
				t.Error(err)
			}
		}
		if t.Failed() {
			for i := range k.processes {
				text, _ := os.ReadFile(k.path(i, "log")) // what there is helps
				t.Logf("the end of Kafka %d's log:\n%s", i+1, text[max(len(text)-4096, 0):])
			}
		}
	})
	return k
}

// start launches all brokers and waits until each knows of the others.
func (k *kafka) start(t *testing.T) *kafka {
	t.Helper()
	for i := range k.processes {
		if err := k.launch(i); err != nil {
			t.Fatal(err)
		}
	}
	k.awaitBrokers(t, 3)
	return k
}

func (k *kafka) path(i int, kind string) string {
	return filepath.Join(k.dir, fmt.Sprintf("%d.%s", i+1, kind))
}

func (k *kafka) configure(t *testing.T) {
	t.Helper()
	var ports devcluster.Ports
	t.Cleanup(func() { _ = ports.Close() }) // listeners that nobody uses
	address := func() string {
		a, err := ports.Address(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	var voters, controllers []string
	for i := range k.processes {
		k.addresses = append(k.addresses, address())
		controllers = append(controllers, address())
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, controllers[i]))
	}
	out, err := exec.CommandContext(t.Context(), "java", "-cp", classpath(), "kafka.tools.StorageTool", "random-uuid").Output()
	if err != nil {
		t.Fatalf("Kafka's storage tool (scripts/peers.sh installs it): %v", err)
	}
	id := string(bytes.TrimSpace(out))
	for i := range k.processes {
		properties := strings.Join([]string{
			"process.roles=broker,controller",
			fmt.Sprintf("node.id=%d", i+1),
			"controller.quorum.voters=" + strings.Join(voters, ","),
			"listeners=PLAINTEXT://" + k.addresses[i] + ",CONTROLLER://" + controllers[i],
			"advertised.listeners=PLAINTEXT://" + k.addresses[i],
			"controller.listener.names=CONTROLLER",
			"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
			"log.dirs=" + k.path(i, "data"),
			"min.insync.replicas=2",
			"offsets.topic.replication.factor=3",
		}, "\n")
		if err := os.WriteFile(k.path(i, "properties"), []byte(properties), 0o600); err != nil {
			t.Fatal(err)
		}
		format := exec.CommandContext(t.Context(), "java", "-cp", classpath(), "kafka.tools.StorageTool", "format", "-t", id, "-c", k.path(i, "properties"))
		if out, err := format.CombinedOutput(); err != nil {
			t.Fatalf("format: %v\n%s", err, out)
		}
	}
}

// classpath is where scripts/peers.sh puts the jars.
func classpath() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "."
	}
	return filepath.Join(cache, "chronik-ci", "kafka-server", "*")
}

func (k *kafka) launch(i int) (err error) {
	k.processes[i], err = startJava(k.path(i, "log"), "kafka.Kafka", k.path(i, "properties"))
	return err
}

func (k *kafka) awaitBrokers(t *testing.T, n int) {
	t.Helper()
	admin := kadm.NewClient(newClient(t, k))
	harness.Await(harness.Within(t, time.Minute), t, fmt.Sprintf("%d Kafka brokers", n), func(ctx context.Context) error {
		brokers, err := admin.ListBrokers(ctx)
		if err == nil && len(brokers) < n {
			err = fmt.Errorf("%d brokers", len(brokers))
		}
		return err
	})
}

func (*kafka) name() string          { return "Kafka" }
func (k *kafka) bootstrap() []string { return k.addresses }

func (k *kafka) pids() []int {
	ids := make([]int, len(k.processes))
	for i, p := range k.processes {
		ids[i] = p.cmd.Process.Pid
	}
	return ids
}

func (k *kafka) kill(i int) error {
	p := k.processes[i]
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}

func (k *kafka) revive(_ context.Context, i int) error { return k.launch(i) }

// java is a running process.
type java struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// startJava starts a process that ends with this one, even if this one is killed:
// the thread that starts it is kept until then.
func startJava(log, class string, args ...string) (*java, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	arguments := append(append(append([]string{}, jvm...), "-cp", classpath(), class), args...)
	p := &java{cmd: exec.Command("java", arguments...), done: make(chan struct{})}
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
