package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
)

// console is one command line's streams and flags.
type console struct {
	root     *cobra.Command
	out, err bytes.Buffer
}

func newConsole() *console {
	c := &console{root: &cobra.Command{Use: "chronik", SilenceUsage: true, SilenceErrors: true}}
	g := globals.New(globals.IO{In: &bytes.Buffer{}, Out: &c.out, Err: &c.err})
	g.Bind(c.root.PersistentFlags())
	c.root.AddCommand(NewCommand(g, "test"))
	return c
}

// run executes one bench command line against a fake cluster.
func (c *console) run(ctx context.Context, cluster *kfake.Cluster, args string) (stdout, stderr string, status exit.Status) {
	line := append([]string{"bench"}, strings.Fields(args)...)
	if cluster != nil {
		line = append(line, "-B", strings.Join(cluster.ListenAddrs(), ","))
	}
	c.root.SetArgs(line)
	err := c.root.ExecuteContext(ctx)
	return c.out.String(), c.err.String(), exit.Of(err)
}

func fakeCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(3))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

const quick = "acks-all --rate 500 --duration 300ms --warmup 50ms --warmup-max 50ms "

const failoverQuick = "failover --rate 200 --duration 400ms --at 100ms --warmup 0 --verify off "

func TestExitStatuses(t *testing.T) {
	t.Parallel()
	refuse := kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1}
	tests := []struct {
		name   string
		args   string
		fault  *kfake.Fault
		want   exit.Status
		stderr string
	}{
		{name: "all is well", args: quick + "--assert loss==0,p50<1m -r 3", want: exit.OK, stderr: "measure acks="},
		{name: "a claim does not hold", args: quick + "--assert p50<1ns", want: exit.CheckFailed, stderr: "assertion failed: p50<1ns"},
		{name: "records fail", args: quick + "--acks all", fault: &refuse, want: exit.Failed, stderr: "NOT_ENOUGH_REPLICAS (19): 150 of 150 records failed"},
		{name: "more replicas than brokers", args: quick + "-r 4", want: exit.Failed},
		{name: "no such arm", args: quick + "--acks 2", want: exit.Usage},
		{name: "no such claim", args: quick + "--assert fast", want: exit.Usage},
		{name: "no such arrival", args: quick + "--arrival never", want: exit.Usage},
		{name: "no such verification", args: quick + "--verify most", want: exit.Usage},
		{name: "a topic and its settings", args: quick + "--topic x -c a=b", want: exit.Usage},
		{name: "not a setting", args: quick + "-c ab", want: exit.Usage},
		{name: "too small for a stamp", args: quick + "--record-size 8", want: exit.Usage},
		{name: "a failover by command", args: failoverQuick + "--fault-exec true", want: exit.OK},
		{name: "a fault that does not work", args: failoverQuick + "--fault-exec false", want: exit.Failed, stderr: "exec broker"},
		{name: "no such fault", args: failoverQuick + "--fault explode", want: exit.Usage},
		{name: "a recovery from nothing", args: failoverQuick + "--recover-exec true", want: exit.Usage},
		{name: "a sweep", args: quick + "--sweep 100,200 --slo p50<1m", want: exit.OK, stderr: "200/s measure acks="},
		{name: "a sweep that misses its objective", args: quick + "--sweep 100 --slo p50<1ns --acks all", want: exit.CheckFailed, stderr: "assertion failed: p50<1ns (100/s: p50<1ns: acks=all"},
		{name: "a search that finds nothing", args: "acks-all --find-max --slo p50<1ns --rate 2 --duration 1500ms --warmup 0", want: exit.CheckFailed, stderr: "no rate holds"},
		{name: "a search without an objective", args: quick + "--find-max", want: exit.Usage},
		{name: "a search of two arms", args: quick + "--find-max --slo p50<1s --acks all,1", want: exit.Usage},
		{name: "a search in a sweep", args: quick + "--find-max --slo p50<1s --sweep 1k", want: exit.Usage},
		{name: "an objective of one rate", args: quick + "--slo p50<1s", want: exit.Usage},
		{name: "claims of a sweep", args: quick + "--sweep 1k --assert p50<1s", want: exit.Usage},
		{name: "no such rate", args: quick + "--sweep 1k,fast", want: exit.Usage},
		{name: "no such traces", args: quick + "--traces here", want: exit.Usage},
		{name: "no traces", args: quick + "--traces off", want: exit.OK},
		{name: "from produce to consume", args: "e2e --rate 500 --duration 300ms --warmup 0 --assert loss==0,p50<1m,rate>=1", want: exit.OK},
		{name: "a claim about the way that does not hold", args: "e2e --rate 500 --duration 300ms --warmup 0 --assert p50<1ns", want: exit.CheckFailed, stderr: "assertion failed: p50<1ns"},
		{name: "from produce to consume with two arms", args: "e2e --acks all,1", want: exit.Usage},
		{name: "fetches that cannot be", args: "e2e --fetch-min-bytes 2MiB --fetch-max-bytes 1MiB", want: exit.Usage},
		{name: "consume", args: "consume -n 2k --record-size 100 --consumers 2", want: exit.OK},
		{name: "consume with too many clients", args: "consume --consumers 1000", want: exit.Usage},
		{name: "workers in a closed loop", args: quick + "--closed-loop --workers 127.0.0.1:1", want: exit.Usage},
		{name: "workers of a sweep", args: quick + "--sweep 1k --workers 127.0.0.1:1", want: exit.Usage},
		{name: "a worker that listens everywhere", args: "worker --listen :7070", want: exit.Usage},
		{name: "produce", args: "produce -n 2k --record-size 100", want: exit.OK},
		{name: "produce with two arms", args: "produce --acks all,1", want: exit.Usage},
		{name: "produce with an unknown codec", args: "produce --compression brotli", want: exit.Usage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cluster := fakeCluster(t)
			if tt.fault != nil {
				cluster.Fault(*tt.fault)
			}
			stdout, stderr, got := newConsole().run(t.Context(), cluster, tt.args)
			if got != tt.want || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("status %d, want %d; stderr, which is to have %q:\n%s", got, tt.want, tt.stderr, stderr)
			}
			if printed := stdout != ""; printed != (got != exit.Usage && !strings.Contains(tt.name, "replicas than")) {
				t.Errorf("stdout: %q", stdout)
			}
		})
	}
}

func TestLostRecordsAreStatusFive(t *testing.T) {
	t.Parallel()
	cluster := fakeCluster(t)
	swallowed := false
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		produce, ok := req.(*kmsg.ProduceRequest)
		if swallowed || !ok {
			return nil, nil, false
		}
		swallowed = true
		resp := kmsg.NewPtrProduceResponse()
		resp.Version = produce.Version
		for _, topic := range produce.Topics {
			answer := kmsg.NewProduceResponseTopic()
			answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				partition := kmsg.NewProduceResponseTopicPartition()
				partition.Partition = p.Partition
				answer.Partitions = append(answer.Partitions, partition)
			}
			resp.Topics = append(resp.Topics, answer)
		}
		return resp, nil, true
	})
	stdout, stderr, status := newConsole().run(t.Context(), cluster, quick+"--acks all")
	if status != exit.VerificationFailed || !strings.Contains(stdout, "FAILED") || !strings.Contains(stderr, "verification failed") {
		t.Errorf("status %d, want %d\n%s%s", status, exit.VerificationFailed, stdout, stderr)
	}
}

func TestNobodyThereIsStatusThree(t *testing.T) {
	t.Parallel()
	if _, _, status := newConsole().run(t.Context(), nil, quick+"-B 127.0.0.1:1 --timeout 2s"); status != exit.Unreachable && status != exit.TimedOut {
		t.Errorf("status %d, want %d", status, exit.Unreachable)
	}
}

func TestInterruptedRunPrintsItsReport(t *testing.T) {
	t.Parallel()
	cluster := fakeCluster(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := time.AfterFunc(700*time.Millisecond, cancel)
	defer stop.Stop()
	stdout, _, status := newConsole().run(ctx, cluster, "acks-all --acks all --rate 200 --duration 1h --warmup 0 -o json")
	var got struct {
		Schema string
		Data   engine.Report
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	if status != exit.Interrupted || !got.Data.Interrupted || got.Schema != "chronik.bench.acks-all/v1" || *got.Data.Arms[0].Acked == 0 {
		t.Errorf("status %d, want %d; interrupted is %t", status, exit.Interrupted, got.Data.Interrupted)
	}
}

func TestProgressLines(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		p    engine.Progress
		want string
	}{
		{name: "preparing", p: engine.Progress{Phase: engine.PhasePrepare, Elapsed: 240 * time.Millisecond}, want: "prepare  200ms"},
		{
			name: "measuring",
			p: engine.Progress{
				Phase: engine.PhaseMeasure, Arm: engine.AcksAll, Elapsed: 3210 * time.Millisecond, Total: 10 * time.Second,
				Offered: 3200, Acked: 3198, Failed: 1, P99: 1920 * time.Microsecond,
			},
			want: "measure acks=all  3.2s of 10s  3,200 sent, 3,198 acked, 1 failed  p99 1.92ms",
		},
		{name: "reading", p: engine.Progress{Phase: engine.PhaseVerify, Elapsed: time.Second, Read: 1000, ToRead: 2000}, want: "verify  1s  1,000 of 2,000 read back"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := describe(tt.p); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestProgressIsSparseInALogAndOneLineOnATerminal(t *testing.T) {
	t.Parallel()
	feed := func(l *progressLine) string {
		var buf bytes.Buffer
		l.w = &buf
		for elapsed := time.Duration(0); elapsed <= 25*time.Second; elapsed += engine.ProgressInterval {
			l.show(engine.Progress{Phase: engine.PhaseMeasure, Elapsed: elapsed})
		}
		l.end()
		return buf.String()
	}
	if lines := strings.Count(feed(&progressLine{}), "\n"); lines != 3 {
		t.Errorf("25 s made %d lines of a log, want 3", lines)
	}
	painted := feed(&progressLine{terminal: true})
	if strings.Contains(painted, "\n") || !strings.HasSuffix(painted, "\r\x1b[K") {
		t.Errorf("a terminal got %q, want one line that is gone at the end", painted)
	}
}
