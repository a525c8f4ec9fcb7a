//go:build peers

package peers

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/peers/table"
)

// openResults describes the machine and opens the results.
func openResults(t *testing.T) {
	t.Helper()
	if results != nil {
		return
	}
	m := table.Machine{
		Date: time.Now().UTC().Format("2006-01-02 15:04"), CPU: field(t, "/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(),
		Kernel: output(t, "uname", "-r"), Filesystem: output(t, "findmnt", "-n", "-o", "FSTYPE", "-T", os.TempDir()), Load: loadAverage(t),
		Versions: map[string]string{
			"chronik": output(t, "git", "describe", "--always", "--dirty"), "Go": runtime.Version(), "Java": output(t, "java", "-version"),
			"Apache Kafka": kafkaVersion(t), "NATS": output(t, cached("nats-server"), "--version"),
		},
		Settings: map[string]string{
			"all":            "3 servers, 3 replicas, 2 acknowledge at least (of 3 in sync: acks=all waits for all; NATS: a majority), no TLS, loopback, data in one file system",
			"run":            fmt.Sprintf("%d turns of each arm, %d s each, %d s of load before the first, %s of quiet and sync(2) before each", *pairs, *seconds, *warm, *settleFor),
			"chronik server": "defaults", "Kafka JVM": strings.Join(jvm, " "), "Kafka server": kafkaSettings, "Kafka topics": kafkaTopic,
			"NATS server": "defaults; sync_interval: always where it says so", "NATS streams": "R3, file storage; a stream is what a partition is elsewhere",
		},
	}
	kib, err := strconv.Atoi(strings.TrimSuffix(field(t, "/proc/meminfo", "MemTotal"), " kB"))
	if err != nil {
		t.Fatal(err)
	}
	m.MemoryGiB = (kib + 1<<19) >> 20
	if results, err = table.Open(*resultsPath, m, *resume); err != nil {
		t.Fatal(err)
	}
	progress("%+v", m)
}

// output is the first line that a command prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s(scripts/peers.sh installs what is missing)", name, err, out)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

func field(t *testing.T, file, name string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if key, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func loadAverage(t *testing.T) float64 {
	t.Helper()
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	load, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	return load
}

var kafkaJar = regexp.MustCompile(`kafka_[\d.]+-(.*)\.jar$`)

func kafkaVersion(t *testing.T) string {
	t.Helper()
	jars, err := filepath.Glob(filepath.Join(cached("kafka-server"), "kafka_*.jar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, jar := range jars {
		if m := kafkaJar.FindStringSubmatch(jar); m != nil {
			return m[1]
		}
	}
	t.Fatal("no Apache Kafka: scripts/peers.sh installs it")
	return ""
}

// cached is where scripts/peers.sh puts something.
func cached(name string) string {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "."
	}
	return filepath.Join(cache, "chronik-ci", name)
}
