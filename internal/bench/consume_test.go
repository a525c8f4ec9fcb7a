package bench

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestConsumeFillsReadsAndVerifies(t *testing.T) {
	t.Parallel()
	_, target := fakeCluster(t, 3)
	target.Producers, target.RecordBytes = 2, 100
	report, err := RunConsume(t.Context(), ConsumeConfig{Target: target, Records: 5000, Consumers: 4})
	if err != nil {
		t.Fatal(err)
	}
	const want = 5000
	if report.Expected != want || report.Records != want || report.Bytes != 100*want || *report.FirstMillis > report.Millis {
		t.Errorf("%+v, want %d records", report, want)
	}
	if v := report.Verification; !v.OK || v.Acked != want || v.ReadBack != want || report.Missing != nil {
		t.Errorf("verification is %+v", v)
	}
	sum := int64(0)
	for _, s := range report.Seconds {
		sum += s.Records
	}
	if sum != want || report.RecordsPerSecond <= 0 || report.MBPerSecond <= 0 {
		t.Errorf("%d records in the seconds %+v", sum, report.Seconds)
	}
	if topics := topicsOf(t, target); len(topics) != 0 {
		t.Errorf("left behind: %v", topics)
	}
}

// keptTopic fills a topic with the records of two runs and returns its name.
func keptTopic(t *testing.T, target Target) string {
	t.Helper()
	target.KeepTopic, target.SkipVerify = true, true
	first, err := RunProduce(t.Context(), ProduceConfig{Target: target, Records: 500, WarmupRecords: -1})
	if err != nil {
		t.Fatal(err)
	}
	target.KeepTopic, target.Topic = false, first.Environment.Topic.Name
	if _, err := RunProduce(t.Context(), ProduceConfig{Target: target, Records: 300, WarmupRecords: -1}); err != nil {
		t.Fatal(err)
	}
	return target.Topic
}

func TestConsumeReadsWhatEarlierRunsWrote(t *testing.T) {
	t.Parallel()
	_, target := fakeCluster(t, 2)
	target.Topic = keptTopic(t, target)
	report, err := RunConsume(t.Context(), ConsumeConfig{Target: target})
	if err != nil {
		t.Fatal(err)
	}
	v := report.Verification
	if report.Records != 800 || !v.OK || v.ReadBack != 800 || v.Foreign != 0 || *report.Missing != 0 || len(report.Warnings) != 0 {
		t.Errorf("%d records, verification %+v, missing %d, warnings %q", report.Records, v, *report.Missing, report.Warnings)
	}
	write(t, target, []byte("somebody else's"))
	if report, err = RunConsume(t.Context(), ConsumeConfig{Target: target}); err != nil {
		t.Fatal(err)
	}
	if v := report.Verification; report.Records != 801 || !v.OK || v.Foreign != 1 || len(report.Warnings) != 1 {
		t.Errorf("%d records, verification %+v, warnings %q; want one that is not ours", report.Records, v, report.Warnings)
	}
}

// write adds one record.
func write(t *testing.T, target Target, value []byte) {
	t.Helper()
	client, err := kgo.NewClient(append(target.Client, kgo.DefaultProduceTopic(target.Topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), &kgo.Record{Value: value}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func TestConsumeFindsWhatIsWrongWithEarlierRecords(t *testing.T) {
	t.Parallel()
	stamped := func(sequence uint64) []byte {
		value := make([]byte, 64)
		stamp{run: 7, producer: 3, sequence: sequence}.write(value)
		return value
	}
	damaged := stamped(3)
	damaged[50] ^= 1
	tests := []struct {
		name    string
		values  [][]byte
		want    Counts
		missing int64
		problem string
	}{
		{name: "a gap", values: [][]byte{stamped(0), stamped(3)}, want: Counts{ReadBack: 2}, missing: 2},
		{name: "a duplicate", values: [][]byte{stamped(0), stamped(1), stamped(0)}, want: Counts{ReadBack: 2, Duplicates: 1}, problem: kindDuplicate},
		{name: "out of order", values: [][]byte{stamped(1), stamped(0)}, want: Counts{ReadBack: 2, Reordered: 1}, problem: kindReordered},
		{name: "a flipped bit", values: [][]byte{stamped(0), damaged}, want: Counts{ReadBack: 1, Corrupt: 1}, problem: kindCorrupt},
		{name: "no such number", values: [][]byte{stamped(maxRecords)}, want: Counts{Corrupt: 1}, problem: kindCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var read sights
			for offset, value := range tt.values {
				st, err := parseStamp(value)
				read.keep(&kgo.Record{Offset: int64(offset), Value: value}, st, err)
			}
			s := newSurvey()
			read.each(s.look)
			got := s.result([]*sights{&read})
			if got.Counts != tt.want || s.missing() != tt.missing {
				t.Errorf("%+v, %d missing; want %+v, %d", got.Counts, s.missing(), tt.want, tt.missing)
			}
			if tt.problem == "" != (len(got.Problems) == 0) || tt.problem != "" && got.Problems[0].Kind != tt.problem {
				t.Errorf("problems are %+v, want %q", got.Problems, tt.problem)
			}
		})
	}
}

func TestConsumeFindsLoss(t *testing.T) {
	t.Parallel()
	cluster, target := fakeCluster(t, 1)
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		return forget(req.(*kmsg.ProduceRequest)), nil, true // once
	})
	target.Partitions = 1
	report, err := RunConsume(t.Context(), ConsumeConfig{Target: target, Records: 3000})
	if err != nil {
		t.Fatal(err)
	}
	if v := report.Verification; v.OK || v.Lost == 0 || v.Lost+v.ReadBack != v.Acked {
		t.Errorf("verification is %+v, want a loss", v)
	}
}

func TestConsumeSaysWhatItCouldNotRead(t *testing.T) {
	t.Parallel()
	cluster, target := fakeCluster(t, 1)
	target.Topic = keptTopic(t, target)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Count: -1})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	report, err := RunConsume(ctx, ConsumeConfig{Target: target})
	if err != nil {
		t.Fatal(err)
	}
	if v := report.Verification; !report.Interrupted || v.OK || v.Complete || !strings.Contains(v.Reason, "cut short") {
		t.Errorf("interrupted is %t, verification %+v", report.Interrupted, v)
	}
}

func TestMetersAddUp(t *testing.T) {
	t.Parallel()
	began := time.Now()
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	one, other, none := meter{began: began}, meter{began: began}, meter{began: began}
	one.add(at(100), 10)
	one.add(at(2100), 20)
	other.add(at(50), 30)
	total := meter{began: began}
	for _, m := range []*meter{&one, &none, &other} {
		total.merge(m)
	}
	if total.records != 3 || total.bytes != 60 || !total.first.Equal(at(50)) || !total.last.Equal(at(2100)) {
		t.Errorf("%+v", total)
	}
	want := []Second{{Records: 2, Bytes: 40}, {Millis: 1000}, {Millis: 2000, Records: 1, Bytes: 20}}
	if len(total.seconds) != 3 || total.seconds[0] != want[0] || total.seconds[1] != want[1] || total.seconds[2] != want[2] {
		t.Errorf("seconds are %+v, want %+v", total.seconds, want)
	}
}
