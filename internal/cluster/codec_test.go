package cluster

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files in testdata")

// golden compares text with a file that pins a format. If it fails, brokers
// could no longer read what they wrote.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatalf("%s differs: the format of existing files changed\n got %s\nwant %s", path, got, want)
	}
}

// allCommands holds one of each kind with every field set.
func allCommands() []Command {
	tp := TopicPartition{TopicID: uuid(100), Partition: 3}
	return []Command{
		InitCluster{ClusterID: "c-1"},
		RegisterBroker{
			Broker: Broker{
				ID: 1, Epoch: 5, Incarnation: uuid(1), Directory: uuid(2),
				Client: Endpoint{"a", 9092}, Peer: Endpoint{"b", 9192}, HTTP: "c:9292",
				Rack: "r1", Version: "v1", Fenced: true, Draining: true,
			},
			FailedReplicas: []TopicPartition{tp}, Unclean: true,
		},
		FenceBroker{ID: 1, Epoch: 5, Reason: "session"},
		UnfenceBroker{ID: 1, Epoch: 5},
		DrainBroker{ID: 1, Epoch: 5},
		FailReplicas{ID: 1, Epoch: 5, Partitions: []TopicPartition{tp}},
		CreateTopic{ID: uuid(100), Name: "t", Assignment: [][]BrokerID{{1, 2}, {2, 1}}, Configs: map[string]string{ConfigFlush: "async", "a": "b"}},
		DeleteTopic{ID: uuid(100), Name: "t"},
		SetTopicConfigs{Name: "t", Set: map[string]string{ConfigFlush: "fsync"}, Delete: []string{"a"}},
		AlterISR{Broker: 1, BrokerEpoch: 5, Changes: []ISRChange{{
			TP: tp, LeaderEpoch: 7, PartitionEpoch: 8, ISR: []ISRMember{{1, 5}, {2, 6}}, Reason: "caught up",
		}}},
		ElectLeaders{Changes: []LeaderChange{{TP: tp, PartitionEpoch: 9, Leader: 2}}, Reason: "preferred"},
		AllocateProducerIDs{Broker: 1, BrokerEpoch: 5, Count: 1000},
	}
}

func TestCommandsRoundTrip(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	cmds := allCommands()
	for _, cmd := range cmds {
		data, err := Encode(cmd)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(data)
		lines.WriteByte('\n')
		if got, err := Decode(data); err != nil || !reflect.DeepEqual(got, cmd) {
			t.Errorf("%s decodes to %+v, error %v, want %+v", data, got, err, cmd)
		}
	}
	if len(cmds) != len(decoders()) {
		t.Errorf("%d commands tested, %d exist", len(cmds), len(decoders()))
	}
	golden(t, "commands.golden", lines.String())
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		"", "null", "{", "[]", `{"v":1}`, `{"v":2,"type":"init_cluster","command":{}}`,
		`{"v":1,"type":"unknown","command":{}}`, `{"v":1,"type":"init_cluster"}`,
		`{"v":1,"type":"init_cluster","command":null}`, `{"v":1,"type":"init_cluster","command":[]}`,
		`{"v":1,"type":"delete_topic","command":{"id":"short"}}`,
	} {
		if cmd, err := Decode([]byte(data)); !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("Decode(%s) = %+v, error %v, want %v", data, cmd, err, ErrInvalidRequest)
		}
	}
	if _, err := Encode(nil); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("Encode(nil): error %v, want %v", err, ErrInvalidRequest)
	}
}

// FuzzDecode looks for log entries that panic the decoder or Apply.
func FuzzDecode(f *testing.F) {
	for _, cmd := range allCommands() {
		data, err := Encode(cmd)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cmd, err := Decode(data)
		if err != nil {
			return
		}
		h := newHistory(t)
		h.start(2)
		h.topic(nil, 1, 2)
		before := h.img
		h.apply(cmd)
		if err := checkStep(before, h.img, cmd); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
	})
}

func TestSnapshotRoundTrip(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.must(InitCluster{ClusterID: "c-1"})
	h.start(3)
	h.topic(map[string]string{ConfigRetentionMillis: "1000"}, 1, 2, 3)
	h.must(CreateTopic{ID: uuid(101), Name: "s", Assignment: [][]BrokerID{{1}, {2}}})
	h.must(CreateTopic{ID: uuid(102), Name: "gone", Assignment: [][]BrokerID{{1}}})
	h.must(DeleteTopic{ID: uuid(102)})
	h.fence(2)
	h.fence(3)
	h.must(AllocateProducerIDs{Broker: 1, BrokerEpoch: h.epoch(1), Count: 1000})
	data := mustEncodeImage(t, h.img)
	golden(t, "image.golden", string(data)+"\n")
	back, err := DecodeImage(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, h.img) {
		t.Fatalf("decoded %+v, want %+v", back, h.img)
	}
	empty, err := DecodeImage(mustEncodeImage(t, NewImage()))
	if err != nil || !reflect.DeepEqual(empty, NewImage()) {
		t.Fatalf("decoded %+v, error %v, want the empty image", empty, err)
	}
}

func TestDecodeImageRefuses(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		"", "null", "{}", `{"v":2}`,
		`{"v":1,"brokers":[null]}`, `{"v":1,"topics":[null]}`,
		`{"v":1,"brokers":[{"id":2},{"id":1}]}`, `{"v":1,"brokers":[{"id":1},{"id":1}]}`,
		`{"v":1,"topics":[{"name":"b","partitions":[{}]},{"name":"a","partitions":[{}]}]}`,
		`{"v":1,"topics":[{"name":"a"}]}`, `{"v":1,"topics":[{"name":"a","partitions":[null]}]}`,
	} {
		if img, err := DecodeImage([]byte(data)); !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("DecodeImage(%s) = %+v, error %v, want %v", data, img, err, ErrInvalidRequest)
		}
	}
}
