package cli_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cli/exit"
)

// TestExitStatuses is the contract with scripts.
func TestExitStatuses(t *testing.T) {
	t.Parallel()
	_, brokers := fake(t, kfake.SeedTopics(2, "orders"))
	closed := closedAddress(t)
	silent := silentAddress(t)
	for _, tc := range []struct {
		name   string
		args   []string
		want   exit.Status
		stderr []string
	}{
		{"done", []string{"topic", "list", "-B", brokers}, exit.OK, nil},
		{"no arguments prints help", nil, exit.OK, nil},
		{"group without a verb prints help", []string{"topic"}, exit.OK, nil},
		{"operation failed", []string{"topic", "describe", "ordrs", "-B", brokers}, exit.Failed, []string{`error: topic "ordrs": UNKNOWN_TOPIC_OR_PARTITION (3)`, `hint: did you mean "orders"?`}},
		{"one item of two failed", []string{"topic", "describe", "orders", "ordrs", "-B", brokers}, exit.Failed, []string{`topic "ordrs"`}},
		{"unknown code", []string{"errors", "lookup", "999"}, exit.Failed, []string{"no such error code"}},
		{"unknown flag", []string{"topic", "list", "--intenal"}, exit.Usage, []string{"unknown flag", "did you mean --internal?"}},
		{"bad flag value", []string{"topic", "create", "x", "-p", "many"}, exit.Usage, []string{"many"}},
		{"unknown command", []string{"topik"}, exit.Usage, []string{`did you mean "chronik topic"?`}},
		{"unknown nested command", []string{"topic", "lst"}, exit.Usage, []string{`unknown command "lst" for "chronik topic"`, `did you mean "chronik topic list"?`}},
		{"verb of another tool", []string{"topic", "add"}, exit.Usage, []string{`"chronik topic create"`}},
		{"missing argument", []string{"topic", "create"}, exit.Usage, []string{"chronik topic create", "usage: "}},
		{"unexpected argument", []string{"replication", "status", "x"}, exit.Usage, []string{"chronik replication status"}},
		{"unknown format", []string{"version", "-o", "xml"}, exit.Usage, []string{`unknown output format "xml"`}},
		{"unknown column", []string{"version", "--columns", "weather"}, exit.Usage, []string{`unknown column "weather"`, "version"}},
		{"bad colour", []string{"version", "--color", "blue"}, exit.Usage, []string{"--color"}},
		{"zero timeout", []string{"version", "--timeout", "0s"}, exit.Usage, []string{"--timeout"}},
		{"bad selector", []string{"isr", "show", "orders:x"}, exit.Usage, []string{"TOPIC:PARTITION"}},
		{"bad state", []string{"isr", "show", "--only", "offlin"}, exit.Usage, []string{"did you mean offline?"}},
		{"check and watch", []string{"isr", "show", "--check", "-w"}, exit.Usage, []string{"--watch"}},
		{"delete without a terminal", []string{"topic", "delete", "orders", "-B", brokers}, exit.Usage, []string{"refusing without confirmation", "--yes"}},
		{"nothing listens", []string{"topic", "list", "-B", closed}, exit.Unreachable, []string{"cannot connect to " + closed + ": connection refused"}},
		{"no such host", []string{"topic", "list", "-B", "nowhere.invalid:9092," + closed}, exit.Unreachable, []string{"  nowhere.invalid:9092  host", "  " + closed + "  connection refused"}},
		{"timeout", []string{"topic", "list", "-B", silent, "--timeout", "50ms"}, exit.TimedOut, []string{"--timeout"}},
		{"check found nothing", []string{"isr", "show", "--check", "-B", brokers}, exit.OK, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			run(t, tc.args...).must(t, tc.want).says(t, tc.stderr...)
		})
	}
}

func TestInterruptIs130(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	r := runWith(ctx, strings.NewReader(""), "topic", "list", "-B", silentAddress(t))
	r.must(t, exit.Interrupted).says(t, "error: interrupted")
}

func TestRefusedCredentialsAre3(t *testing.T) {
	t.Parallel()
	c, brokers := fake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "admin", "secret"))
	login := []string{"topic", "list", "-B", brokers, "--sasl-mechanism", "PLAIN", "--user", "admin", "--password"}
	run(t, append(login, "secret")...).must(t, exit.OK)
	run(t, append(login, "wrong")...).must(t, exit.Unreachable).says(t, "closed the connection", "--password")
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	run(t, append(login, "wrong")...).must(t, exit.Unreachable).says(t, "authentication failed", "--password")
	run(t, "topic", "list", "-B", brokers, "--password", "x").must(t, exit.Usage).says(t, "without a user")
}

func TestCheckFailedIs4(t *testing.T) {
	t.Parallel()
	c, brokers := fake(t, kfake.SeedTopics(1, "orders"))
	loseReplica(c)
	r := run(t, "isr", "show", "--check", "-B", brokers, "-o", "json").must(t, exit.CheckFailed)
	r.says(t, "check failed: 1 partition is not ok")
	if e := r.envelope(t); len(e.Data) != 1 || e.Summary["under_replicated"] != 1.0 {
		t.Errorf("the result is not printed as usual: %s", r.stdout)
	}
	run(t, "isr", "show", "--check", "--only", "offline", "-B", brokers).must(t, exit.OK)
	run(t, "isr", "show", "--check", "--only", "under-replicated", "-B", brokers).must(t, exit.CheckFailed).
		says(t, "check failed: 1 partition is under-replicated")
}

// loseReplica makes a cluster report in-sync sets without their last replica.
func loseReplica(c *kfake.Cluster) {
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return metadataWithout(c, req)
	})
}

// metadataWithout answers for every topic the fake was seeded with: three
// replicas, of which the last is not in sync.
func metadataWithout(c *kfake.Cluster, req kmsg.Request) (kmsg.Response, error, bool) {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	resp.ClusterID = kmsg.StringPtr("fake-cluster")
	for i, address := range c.ListenAddrs() {
		host, port, _ := net.SplitHostPort(address)
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host = int32(i), host
		for _, digit := range port {
			b.Port = b.Port*10 + digit - '0'
		}
		resp.Brokers = append(resp.Brokers, b)
	}
	topic := kmsg.NewMetadataResponseTopic()
	topic.Topic = kmsg.StringPtr("orders")
	p := kmsg.NewMetadataResponseTopicPartition()
	p.Leader, p.LeaderEpoch = 0, 4
	p.Replicas, p.ISR = []int32{0, 1, 2}, []int32{0, 1}
	topic.Partitions = append(topic.Partitions, p)
	resp.Topics = append(resp.Topics, topic)
	return resp, nil, true
}

func TestFailureOfABrokerIsNamed(t *testing.T) {
	t.Parallel()
	c, brokers := fake(t)
	c.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		topic := kmsg.NewCreateTopicsResponseTopic()
		topic.Topic = "x"
		topic.ErrorCode = kerr.PolicyViolation.Code
		topic.ErrorMessage = kmsg.StringPtr("names start with a team")
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	r := run(t, "topic", "create", "x", "-B", brokers, "-o", "json").must(t, exit.Failed)
	r.says(t, `error: topic "x": POLICY_VIOLATION (44): names start with a team`)
	e := r.envelope(t)
	if len(e.Errors) != 1 || e.Errors[0].KafkaCode == nil || *e.Errors[0].KafkaCode != 44 || e.Errors[0].Subject != `topic "x"` {
		t.Errorf("errors[] = %+v", e.Errors)
	}
	if e.Schema != "chronik.topic.create/v1" || len(e.Data) != 0 {
		t.Errorf("schema %q, %d rows", e.Schema, len(e.Data))
	}
}

// closedAddress is an address on which nothing listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return listener.Addr().String()
}

// silentAddress accepts connections and never says a word.
func silentAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}
