package cli_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/isr"
	"github.com/chronik-project/chronik/internal/cli/out"
	"github.com/chronik-project/chronik/internal/cli/replication"
)

func ptr[T any](v T) *T { return &v }

func clock() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

// isrReport has one partition in every state, and every kind of unknown.
func isrReport() admin.ISRReport {
	row := func(p int32, leader int32, state string, isr []int32) admin.ISRPartition {
		return admin.ISRPartition{
			Topic: "orders", TopicID: "6b1f", Partition: p, Leader: leader, LeaderEpoch: ptr(int32(17)),
			Replicas: []int32{1, 2, 3}, ISR: isr, ELR: []int32{}, MinInsyncReplicas: ptr(2),
			HighWatermark: ptr(int64(918_221)), LogEndOffset: ptr(int64(918_230)), DurableEndOffset: ptr(int64(918_221)),
			State: state, Flush: ptr("fsync"), PendingAcks: ptr(3), Source: admin.SourceLeader, Followers: []admin.Follower{},
		}
	}
	caughtUp := func(id int32, share float64) admin.Follower {
		return admin.Follower{
			Broker: id, State: "in_sync", InISR: true, DurableEndOffset: ptr(int64(918_221)), LogEndOffset: ptr(int64(918_230)),
			LagRecords: ptr(int64(0)), LagBytes: ptr(int64(0)), LagMillis: ptr(int64(0)), LastCaughtUpMS: ptr(int64(0)),
			AckWaitShare: &share, Flaps: ptr(0),
		}
	}
	behind := admin.Follower{
		Broker: 3, State: "catching_up", DurableEndOffset: ptr(int64(876_919)), LogEndOffset: ptr(int64(876_919)),
		LagRecords: ptr(int64(41_302)), LagBytes: ptr(int64(39_950_000)), LagMillis: ptr(int64(38_200)), LastCaughtUpMS: ptr(int64(38_200)),
		Flaps: ptr(2), Reason: ptr("dial tcp 10.0.0.3:9192: connection refused"),
	}
	silent := admin.Follower{Broker: 3, State: admin.StateUnknown}

	ok := row(0, 1, admin.PartitionOK, []int32{1, 2, 3})
	ok.Followers = []admin.Follower{caughtUp(2, 0.21), caughtUp(3, 0.79)}
	atMin := row(1, 2, admin.PartitionAtMinISR, []int32{2, 1})
	atMin.Followers = []admin.Follower{caughtUp(1, 1), behind}
	underMin := row(2, 2, admin.PartitionUnderMinISR, []int32{2})
	underMin.Followers = []admin.Follower{{Broker: 1, State: admin.StateUnknown}, behind}
	offline := row(3, -1, admin.PartitionOffline, []int32{})
	offline.ELR, offline.Source, offline.LeaderEpoch = []int32{2}, admin.SourceMetadata, nil
	offline.HighWatermark, offline.LogEndOffset, offline.DurableEndOffset, offline.Flush, offline.PendingAcks = nil, nil, nil, nil, nil
	offline.Followers = []admin.Follower{silent}
	foreign := row(4, 1, admin.PartitionUnderReplicated, []int32{1, 2})
	foreign.MinInsyncReplicas, foreign.ELR, foreign.Source, foreign.Flush, foreign.PendingAcks = nil, nil, admin.SourceReplicas, nil, nil
	foreign.Followers = []admin.Follower{{Broker: 2, State: admin.StateUnknown, InISR: true, LagRecords: ptr(int64(3))}, silent}
	alone := row(5, 1, admin.PartitionOK, []int32{1})
	alone.Replicas, alone.MinInsyncReplicas = []int32{1}, ptr(1)

	mute := row(6, 3, admin.PartitionUnknown, []int32{1, 2, 3})
	mute.HighWatermark, mute.LogEndOffset, mute.Source, mute.PendingAcks = nil, nil, admin.SourceMetadata, nil

	return admin.ISRReport{
		ClusterID:  "Xb3kQ",
		Partitions: []admin.ISRPartition{ok, atMin, underMin, offline, foreign, alone, mute},
		Problems:   []admin.Problem{{Subject: "broker 3", Err: admin.ErrUnreachable}},
	}
}

func replicationReport() admin.ReplicationReport {
	return admin.ReplicationReport{
		ClusterID: "Xb3kQ", Brokers: []int32{1, 2, 3},
		Links: []admin.Link{
			{
				From: 1, To: 2, State: "ok", Partitions: ptr(42), InSync: ptr(42), LagRecords: ptr(int64(14)), LagBytes: ptr(int64(1400)),
				LagMillis: ptr(int64(1)), BytesPerSecond: ptr(39_950_000.5), RTTP50Micros: ptr(int64(210)), RTTP99Micros: ptr(int64(900)),
				FsyncP99Micros: ptr(int64(1100)), AckWaitP99: ptr(int64(1700)), SlowestShare: ptr(0.21), Reconnects: ptr(int64(0)),
				Source: admin.SourceLeader,
			},
			{
				From: 1, To: 3, State: "connecting", Partitions: ptr(42), InSync: ptr(38), LastError: ptr("connection refused"),
				BytesPerSecond: ptr(0.0), Reconnects: ptr(int64(7)), Source: admin.SourceLeader,
			},
			{From: 3, To: 1, State: admin.LinkUnknown, Partitions: ptr(40), InSync: ptr(40), Source: admin.SourceMetadata},
		},
	}
}

// TestGoldenResults pins what people and scripts read.
func TestGoldenResults(t *testing.T) {
	t.Parallel()
	report := isrReport()
	results := map[string]*out.Result{
		"isr_show":           isr.Result(report, report.Partitions, false),
		"isr_show_followers": isr.Result(report, report.Partitions, true),
		"replication_status": replication.Result(replicationReport()),
	}
	for name, r := range results {
		for _, format := range []out.Format{out.Table, out.Wide, out.JSON, out.YAML, out.TSV, out.Name} {
			t.Run(name+"/"+string(format), func(t *testing.T) {
				t.Parallel()
				var buf bytes.Buffer
				if err := out.Print(&buf, out.Options{Format: format, Now: clock}, r); err != nil {
					t.Fatal(err)
				}
				golden(t, name+"."+string(format), buf.String())
			})
		}
	}
}
