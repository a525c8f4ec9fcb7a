//go:build e2e

package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The tools, by class.
const (
	topics   = "TopicCommand"
	producer = "ConsoleProducer"
	consumer = "consumer.ConsoleConsumer"
	offsets  = "GetOffsetShell"
)

// describedTopic and describedPartition are what kafka-topics prints.
var (
	describedTopic     = regexp.MustCompile(`^Topic: orders\tTopicId: [A-Za-z0-9_-]{22}\tPartitionCount: 3\tReplicationFactor: 3\tConfigs: .*min\.insync\.replicas=2.*$`)
	describedPartition = regexp.MustCompile(`^\tTopic: orders\tPartition: (\d)\tLeader: [123]\tReplicas: [123],[123],[123]\tIsr: [123],[123],[123]\tElr: \tLastKnownElr: $`)
)

// TestKafkaTools covers Apache Kafka's Java client and admin client, and that
// what it wrote reads the same for librdkafka.
func TestKafkaTools(t *testing.T) {
	c := start(t)
	const partitions, records = 3, 300

	equal(t, "create", c.kafka(t, "", topics, "--create", "--topic", "orders", "--partitions", strconv.Itoa(partitions),
		"--replication-factor", "3", "--config", "min.insync.replicas=2"), "Created topic orders.\n")
	equal(t, "list", c.kafka(t, "", topics, "--list"), "orders\n")
	describe(t, c)

	var sent strings.Builder
	for i := range records {
		fmt.Fprintf(&sent, "customer-%d:order %d\n", i%20, i)
	}
	equal(t, "console producer", c.kafka(t, sent.String(), producer, "--topic", "orders",
		"--command-property", "acks=all", "--reader-property", "parse.key=true", "--reader-property", "key.separator=:"), "")

	var everything, ends strings.Builder
	for p := range partitions {
		partition := strconv.Itoa(p)
		byKcat := c.kcat(t, "", "-C", "-t", "orders", "-p", partition, "-o", "beginning", "-e", "-f", `%k:%s\n`)
		count := strings.Count(byKcat, "\n")
		if count == 0 {
			t.Errorf("partition %d is empty: 20 keys should spread over all", p)
			continue
		}
		byJava := c.kafka(t, "", consumer, "--topic", "orders", "--partition", partition, "--offset", "earliest",
			"--max-messages", strconv.Itoa(count), "--formatter-property", "print.key=true", "--formatter-property", "key.separator=:")
		equal(t, "console consumer on partition "+partition, byJava, byKcat)
		ascending(t, byJava)
		everything.WriteString(byJava)
		fmt.Fprintf(&ends, "orders:%d:%d\n", p, count)
	}
	equal(t, "all partitions", sortedLines(everything.String()), sortedLines(sent.String()))
	equal(t, "offsets", c.kafka(t, "", offsets, "--topic", "orders"), ends.String())

	equal(t, "delete", c.kafka(t, "", topics, "--delete", "--topic", "orders"), "")
	equal(t, "list after delete", strings.TrimSpace(c.kafka(t, "", topics, "--list")), "")
}

func describe(t *testing.T, c *cluster) {
	t.Helper()
	lines := strings.Split(strings.TrimRight(c.kafka(t, "", topics, "--describe", "--topic", "orders"), "\n"), "\n")
	if len(lines) != 4 {
		t.Fatalf("describe printed %q, want a line for the topic and one for each of 3 partitions", lines)
	}
	if !describedTopic.MatchString(lines[0]) {
		t.Errorf("describe: %q does not match %s", lines[0], describedTopic)
	}
	for p, line := range lines[1:] {
		if m := describedPartition.FindStringSubmatch(line); m == nil || m[1] != strconv.Itoa(p) {
			t.Errorf("describe: %q is not partition %d as in %s", line, p, describedPartition)
		}
	}
}

// ascending checks that orders stand in the order in which they were sent.
func ascending(t *testing.T, lines string) {
	t.Helper()
	last := -1
	for line := range strings.Lines(lines) {
		_, number, _ := strings.Cut(strings.TrimSpace(line), ":order ")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if n <= last {
			t.Fatalf("order %d comes after order %d", n, last)
		}
		last = n
	}
}
