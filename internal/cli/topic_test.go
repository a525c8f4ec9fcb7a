package cli_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/exit"
)

func TestTopicLifecycle(t *testing.T) {
	t.Parallel()
	_, brokers := fake(t)
	at := func(args ...string) []string { return append(args, "-B", brokers) }

	r := run(t, at("topic", "create", "orders", "-p", "4", "-r", "3", "-c", "min.insync.replicas=2", "--wait-isr", "-o", "json")...).must(t, exit.OK)
	e := r.envelope(t)
	created := row[admin.CreatedTopic](t, e, 0)
	if e.Schema != "chronik.topic.create/v1" || *e.ClusterID != "fake-cluster" || !created.Created || created.Leaders != 4 || created.FullISR != 4 {
		t.Errorf("created %+v in %s", created, r.stdout)
	}

	run(t, at("topic", "create", "orders")...).must(t, exit.Failed).says(t, "TOPIC_ALREADY_EXISTS (36)", "hint: use --if-not-exists")
	again := run(t, at("topic", "create", "orders", "--if-not-exists", "-p", "5")...).must(t, exit.OK)
	again.says(t, `topic "orders" exists with 4 partitions, not 5`)
	if !strings.Contains(again.stdout, "exists") {
		t.Errorf("stdout %q", again.stdout)
	}

	dry := run(t, at("topic", "create", "later", "-p", "1", "--dry-run")...).must(t, exit.OK)
	if !strings.Contains(dry.stdout, "would be created (dry run)") {
		t.Errorf("stdout %q", dry.stdout)
	}
	if got := run(t, at("topic", "list", "-o", "name")...).must(t, exit.OK).stdout; got != "orders\n" {
		t.Errorf("after a dry run there is %q", got)
	}

	run(t, at("topic", "create", "a", "b", "-p", "1", "-r", "1")...).must(t, exit.OK)
	several := run(t, at("topic", "create", "c", "orders", "-p", "1", "-o", "json")...).must(t, exit.Failed)
	if e := several.envelope(t); len(e.Data) != 1 || len(e.Errors) != 1 || e.Errors[0].Subject != `topic "orders"` || e.Summary["failed"] != 1.0 {
		t.Errorf("one of two: %s", several.stdout)
	}
	if got := run(t, at("topics", "ls", "[ab]", "-o", "name")...).must(t, exit.OK).stdout; got != "a\nb\n" {
		t.Errorf("pattern [ab] lists %q", got)
	}
	run(t, at("topic", "list", "ordres")...).must(t, exit.Failed).says(t, `did you mean "orders"?`)
	run(t, at("topic", "list", "x*")...).must(t, exit.OK)

	run(t, at("topic", "delete", "a", "--dry-run")...).must(t, exit.OK)
	run(t, at("topic", "delete", "a", "b", "c", "-y")...).must(t, exit.OK)
	run(t, at("topic", "delete", "a", "-y")...).must(t, exit.Failed).says(t, "UNKNOWN_TOPIC_OR_PARTITION")
	run(t, at("topic", "delete", "a", "-y", "--if-exists")...).must(t, exit.OK)
	if got := run(t, at("topic", "list", "-o", "name")...).must(t, exit.OK).stdout; got != "orders\n" {
		t.Errorf("at the end there is %q", got)
	}
}

func TestCreateHints(t *testing.T) {
	t.Parallel()
	_, brokers := fake(t)
	for _, tc := range []struct {
		name   string
		args   []string
		status exit.Status
		says   []string
	}{
		{"too many replicas", []string{"-r", "9"}, exit.Failed, []string{"INVALID_REPLICATION_FACTOR (38)", "the cluster has 3 brokers now: -r 3 is the most"}},
		{"no value", []string{"-c", "retention.ms"}, exit.Usage, []string{`"retention.ms" is not KEY=VALUE`}},
		{"twice", []string{"-c", "a=1", "-c", "a=2"}, exit.Usage, []string{"a is set twice"}},
		{"negative", []string{"-p", "-1"}, exit.Usage, []string{"cannot be negative"}},
		{"assignment and number", []string{"-p", "1", "--replica-assignment", "0:1"}, exit.Usage, []string{"leave out --partitions"}},
		{"assignment of words", []string{"--replica-assignment", "0:x"}, exit.Usage, []string{`"x" is not a broker id`}},
		{"assignment with a broker twice", []string{"--replica-assignment", "0:0"}, exit.Usage, []string{"broker 0 is named twice"}},
		{"uneven assignment", []string{"--replica-assignment", "0:1,2"}, exit.Usage, []string{"partition 1 has 1 replicas, partition 0 has 2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			run(t, append([]string{"topic", "create", "x", "-B", brokers}, tc.args...)...).must(t, tc.status).says(t, tc.says...)
		})
	}
}

func TestCreateSuggestsTheSettingThatWasMeant(t *testing.T) {
	t.Parallel()
	c, brokers := fake(t)
	c.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		topic := kmsg.NewCreateTopicsResponseTopic()
		topic.Topic, topic.ErrorCode = "x", kerr.InvalidConfig.Code
		topic.ErrorMessage = kmsg.StringPtr(`unknown configuration "retention.m"`)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	run(t, "topic", "create", "x", "-c", "retention.m=5", "-B", brokers).must(t, exit.Failed).
		says(t, `INVALID_CONFIG (40): unknown configuration "retention.m"`, "hint: did you mean retention.ms?")
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	_, brokers := fake(t, kfake.SeedTopics(3, "orders"))
	r := run(t, "topic", "describe", "orders", "-B", brokers, "-o", "json").must(t, exit.OK)
	topic := row[admin.TopicDetail](t, r.envelope(t), 0)
	if topic.Topic != "orders" || topic.Partitions != 3 || len(topic.PartitionDetails) != 3 || topic.TopicID == "" ||
		topic.Records == nil || *topic.Records != 0 || len(topic.Configs) == 0 {
		t.Errorf("described %s", r.stdout)
	}
	table := run(t, "topic", "describe", "orders", "-B", brokers).must(t, exit.OK).stdout
	for _, want := range []string{"TOPIC orders  PARTITIONS 3", "CONFIG ", "defaults (--all)", "preferred", "ok"} {
		if !strings.Contains(table, want) {
			t.Errorf("table lacks %q:\n%s", want, table)
		}
	}
	if tsv := run(t, "topic", "describe", "orders", "-B", brokers, "-o", "tsv", "--columns", "topic,partition,state").must(t, exit.OK).stdout; tsv != "orders\t0\tok\norders\t1\tok\norders\t2\tok\n" {
		t.Errorf("tsv %q", tsv)
	}
	run(t, "topic", "describe", "orders", "-B", brokers, "--all").must(t, exit.OK)
}

// TestEveryFormatOfEveryReader runs the commands that only read in all formats
// against foreign brokers: none may fail, and stdout is never empty JSON.
func TestEveryFormatOfEveryReader(t *testing.T) {
	t.Parallel()
	_, brokers := fake(t, kfake.SeedTopics(2, "orders"))
	commands := map[string][]string{
		"topic.list":         {"topic", "list"},
		"topic.describe":     {"topic", "describe", "orders"},
		"isr.show":           {"isr", "show"},
		"replication.status": {"replication", "status"},
		"version":            {"version"},
		"errors.lookup":      {"errors", "lookup", "3", "19"},
	}
	for schema, args := range commands {
		for _, format := range []string{"table", "wide", "json", "yaml", "tsv", "name", "text"} {
			t.Run(schema+"/"+format, func(t *testing.T) {
				t.Parallel()
				r := run(t, append(args, "-B", brokers, "-o", format)...).must(t, exit.OK)
				if r.stdout == "" {
					t.Errorf("nothing on stdout; stderr: %s", r.stderr)
				}
				if format == "json" {
					if e := r.envelope(t); e.Schema != "chronik."+schema+"/v1" {
						t.Errorf("schema %q", e.Schema)
					}
				}
			})
		}
	}
}

func TestISROnForeignBrokersSaysSo(t *testing.T) {
	t.Parallel()
	_, brokers := fake(t, kfake.SeedTopics(1, "orders"))
	r := run(t, "isr", "show", "-B", brokers, "-o", "json").must(t, exit.OK).says(t, "note: these brokers do not report")
	p := row[admin.ISRPartition](t, r.envelope(t), 0)
	if p.Source != admin.SourceReplicas || len(p.Followers) != 2 {
		t.Fatalf("partition %s", r.stdout)
	}
	for _, f := range p.Followers {
		if f.State != admin.StateUnknown || f.LagMillis != nil || f.DurableEndOffset != nil || f.LagRecords == nil {
			t.Errorf("follower %+v", f)
		}
	}
	run(t, "isr", "show", "orders:7", "-B", brokers).must(t, exit.Failed).says(t, "it has 1, from 0", "partitions go from 0 to 0")
	run(t, "isr", "show", "orders:0", "payments", "-B", brokers).must(t, exit.Failed).says(t, `topic "payments"`)
}
