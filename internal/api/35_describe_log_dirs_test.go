package api

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
)

func TestDescribeLogDirs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, func(o *Options) {
			o.LogDir = func() LogDir { return LogDir{Path: "/data", TotalBytes: 1000, UsableBytes: 400} }
		})
		b.topic("a", nil, []cluster.BrokerID{1}, []cluster.BrokerID{2}, []cluster.BrokerID{1})
		b.topic("b", nil, []cluster.BrokerID{1, 2})
		b.produce("b", 0, batch(2))
		size := int64(len(batch(2).Bytes()))
		tests := []struct {
			name   string
			topics []kmsg.DescribeLogDirsRequestTopic
			want   string
		}{
			{name: "all", want: fmt.Sprintf("a/0:0 a/2:0 b/0:%d", size)},
			{name: "one", topics: []kmsg.DescribeLogDirsRequestTopic{{Topic: "a", Partitions: []int32{2, 1}}}, want: "a/2:0"},
			{name: "a topic twice", topics: []kmsg.DescribeLogDirsRequestTopic{
				{Topic: "a", Partitions: []int32{2}}, {Topic: "a", Partitions: []int32{0}},
			}, want: "a/0:0 a/2:0"},
			{name: "none", topics: []kmsg.DescribeLogDirsRequestTopic{}, want: ""},
		}
		for _, version := range versions(t, 35, 0) {
			for _, tt := range tests {
				req := kmsg.NewPtrDescribeLogDirsRequest()
				req.Topics = tt.topics
				resp := ask[*kmsg.DescribeLogDirsResponse](b, req, version)
				dir := only(t, resp.Dirs)
				got := ""
				for _, topic := range dir.Topics {
					for _, p := range topic.Partitions {
						got += fmt.Sprintf(" %s/%d:%d", topic.Topic, p.Partition, p.Size)
						if p.OffsetLag != 0 || p.IsFuture {
							t.Errorf("v%d %s: %+v, want no lag, not a future replica", version, tt.name, p)
						}
					}
				}
				if got != "" {
					got = got[1:]
				}
				if got != tt.want || dir.Dir != "/data" || dir.ErrorCode != 0 {
					t.Errorf("v%d %s: %q in %q, want %q in /data", version, tt.name, got, dir.Dir, tt.want)
				}
				if version >= 4 && (dir.TotalBytes != 1000 || dir.UsableBytes != 400) {
					t.Errorf("v%d %s: %d of %d bytes usable, want 400 of 1000", version, tt.name, dir.UsableBytes, dir.TotalBytes)
				}
			}
		}
	})
}

func TestAFailedLogDirIsToldSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, func(o *Options) { o.LogDir = func() LogDir { return LogDir{Path: "/data", Failed: true} } })
		resp := ask[*kmsg.DescribeLogDirsResponse](b, kmsg.NewPtrDescribeLogDirsRequest(), 4)
		wantCode(t, "log dir", only(t, resp.Dirs).ErrorCode, codeStorageError)
	})
}
