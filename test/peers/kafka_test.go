//go:build peers

package peers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

const (
	// kafkaSettings is what differs from the defaults beside addresses and ids.
	kafkaSettings = "process.roles=broker,controller min.insync.replicas=2 offsets.topic.replication.factor=3"
	// kafkaTopic is what differs for every topic of the load: files go before the
	// next turn, not in somebody else's a minute later.
	kafkaTopic = "file.delete.delay.ms=1000"
)

// kafka is Apache Kafka in KRaft mode, each process broker and controller.
type kafka struct {
	dir       string
	addresses []string
	processes []*process
}

// prepareKafka formats three brokers with the shipped defaults, but for what three
// brokers on one machine need.
func prepareKafka(t *testing.T) *kafka {
	t.Helper()
	k := &kafka{dir: t.TempDir(), processes: make([]*process, 3)}
	k.configure(t)
	stopWith(t, "Kafka", k.processes, func(i int) string { return k.path(i, "log") })
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
			fmt.Sprintf("node.id=%d", i+1),
			"controller.quorum.voters=" + strings.Join(voters, ","),
			"listeners=PLAINTEXT://" + k.addresses[i] + ",CONTROLLER://" + controllers[i],
			"advertised.listeners=PLAINTEXT://" + k.addresses[i],
			"controller.listener.names=CONTROLLER",
			"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
			"log.dirs=" + k.path(i, "data"),
		}, "\n") + "\n" + strings.ReplaceAll(kafkaSettings, " ", "\n")
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
func classpath() string { return filepath.Join(cached("kafka-server"), "*") }

func (k *kafka) launch(i int) (err error) {
	args := append(append([]string{}, jvm...), "-cp", classpath(), "kafka.Kafka", k.path(i, "properties"))
	k.processes[i], err = startProcess(k.path(i, "log"), "java", args...)
	return err
}

func (k *kafka) awaitBrokers(t *testing.T, n int) {
	t.Helper()
	admin := kadm.NewClient(newClient(t, k))
	harness.Await(harness.Within(t, 3*time.Minute), t, fmt.Sprintf("%d Kafka brokers", n), func(ctx context.Context) error {
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

func (k *kafka) kill(i int) error { return k.processes[i].kill() }

func (k *kafka) revive(_ context.Context, i int) error  { return k.launch(i) }
func (k *kafka) firstAck(t *testing.T)                  { produceOne(t, k) }
func (k *kafka) killALeader(t *testing.T) time.Duration { return killALeader(t, k) }
