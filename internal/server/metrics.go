package server

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/status"
	"github.com/chronik-project/chronik/internal/wal"
)

// metrics computes what /metrics shows when it is asked: nothing is counted
// twice, and nothing costs while nobody looks.
type metrics struct {
	table *partition.Table
	wal   *wal.Log
	links func() []status.Link
	ready func() error
}

var (
	perPartition = []string{"topic", "partition"}
	perFollower  = []string{"topic", "partition", "follower"}
	perLink      = []string{"from", "to"}

	descReady           = describe("ready", "1 when the broker serves.", nil)
	descReplicas        = describe("replicas", "Replicas on this broker by role.", []string{"role"})
	descUnderReplicated = describe("under_replicated_partitions", "Led partitions with fewer in-sync replicas than replicas.", nil)
	descAtMinISR        = describe("at_min_isr_partitions", "Led partitions that one more loss would stop.", nil)
	descUnderMinISR     = describe("under_min_isr_partitions", "Led partitions that refuse acks=all.", nil)
	descHW              = describe("high_watermark", "High watermark (next offset) of a led partition.", perPartition)
	descLEO             = describe("log_end_offset", "Log end offset (next offset) of a led partition.", perPartition)
	descPending         = describe("pending_acks", "Acknowledgements that a led partition owes.", perPartition)
	descBytes           = describe("log_bytes", "Size of the local log.", perPartition)
	descLag             = describe("follower_lag_records", "Records a follower has not made durable; absent when unknown.", perFollower)
	descInSync          = describe("follower_in_sync", "1 when the follower is in the in-sync set.", perFollower)
	descAckShare        = describe("follower_ack_wait_share", "Share of recent acknowledgements that waited for this follower last.", perFollower)
	descFsync           = describe("wal_fsync_seconds", "Recent time of one write-ahead log sync.", []string{"quantile"})
	descRounds          = describe("wal_rounds_total", "Group-commit rounds.", nil)
	descWALBytes        = describe("wal_written_bytes_total", "Bytes written to the write-ahead log.", nil)
	descUnreleased      = describe("wal_unreleased_bytes", "Write-ahead log that no checkpoint has passed, beyond 1 GiB of which appends wait.", nil)
	descRoomWait        = describe("append_room_wait_seconds", "How long appends have waited without any getting room; 0 when none waits.", nil)
	descScrubBytes      = describe("scrub_bytes_total", "Bytes of segment files read to find damage.", nil)
	descScrubPass       = describe("scrub_last_pass_timestamp_seconds", "End of the last check of all segment files; 0 before the first.", nil)
	descScrubDamages    = describe("scrub_damaged_replicas_total", "Replicas that the check found damaged.", nil)
	descScrubIndexes    = describe("scrub_remade_indexes_total", "Segment indexes that the check found damaged and made anew.", nil)
	descLinkBytes       = describe("link_bytes_per_second", "Replication traffic sent.", perLink)
	descLinkReconnects  = describe("link_reconnects_total", "Times the link was made again.", perLink)
	descLinkRTT         = describe("link_rtt_p99_seconds", "Round trip of the link, 99th percentile.", perLink)
)

func describe(name, help string, labels []string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("chronik", "", name), help, labels, nil)
}

// Describe announces nothing in advance: labels come and go with partitions.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect reads the state of every replica and link once.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(descReady, boolean(m.ready() == nil))
	m.collectReplicas(gauge)
	s := m.wal.Stats()
	gauge(descFsync, s.SyncP50.Seconds(), "0.5")
	gauge(descFsync, s.SyncP99.Seconds(), "0.99")
	counter(descRounds, float64(s.Rounds))
	counter(descWALBytes, float64(s.Bytes))
	gauge(descUnreleased, float64(s.Unreleased))
	gauge(descRoomWait, m.table.RoomWait().Seconds())
	scrub := m.table.ScrubStats()
	counter(descScrubBytes, float64(scrub.Bytes))
	gauge(descScrubPass, unixSeconds(scrub.LastPass))
	counter(descScrubDamages, float64(scrub.Damages))
	counter(descScrubIndexes, float64(scrub.Indexes))
	for _, l := range m.links() {
		from, to := strconv.Itoa(int(l.From)), strconv.Itoa(int(l.To))
		gauge(descLinkBytes, l.BytesPerSecond, from, to)
		counter(descLinkReconnects, float64(l.Reconnects), from, to)
		if l.RTTP99Micros != nil {
			gauge(descLinkRTT, float64(*l.RTTP99Micros)/1e6, from, to)
		}
	}
}

func (m *metrics) collectReplicas(gauge func(*prometheus.Desc, float64, ...string)) {
	roles := map[string]int{"leading": 0, "following": 0, "failed": 0}
	var underReplicated, atMin, underMin int
	for _, r := range m.table.Replicas() {
		info := r.Info()
		if info.Topic == "" {
			continue // recovered, not yet named by metadata: all would have the same labels
		}
		p := strconv.Itoa(int(info.TP.Partition))
		gauge(descBytes, float64(info.SizeBytes), info.Topic, p)
		switch {
		case info.Failed != "":
			roles["failed"]++
			continue
		case !info.Leading:
			roles["following"]++
			continue
		}
		roles["leading"]++
		underReplicated += count(len(info.ISR) < len(info.Replicas))
		atMin += count(len(info.ISR) == info.MinISR && len(info.Replicas) > info.MinISR)
		underMin += count(len(info.ISR) < info.MinISR)
		gauge(descHW, float64(info.HighWatermark), info.Topic, p)
		gauge(descLEO, float64(info.LogEndOffset), info.Topic, p)
		gauge(descPending, float64(info.PendingAcks), info.Topic, p)
		for _, f := range info.Followers {
			follower := strconv.Itoa(int(f.ID))
			gauge(descInSync, boolean(f.InISR), info.Topic, p, follower)
			if f.LagRecords >= 0 {
				gauge(descLag, float64(f.LagRecords), info.Topic, p, follower)
			}
			if f.AckWaitShare >= 0 {
				gauge(descAckShare, f.AckWaitShare, info.Topic, p, follower)
			}
		}
	}
	for role, n := range roles {
		gauge(descReplicas, float64(n), role)
	}
	gauge(descUnderReplicated, float64(underReplicated))
	gauge(descAtMinISR, float64(atMin))
	gauge(descUnderMinISR, float64(underMin))
}

func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1e3
}

func boolean(b bool) float64 { return float64(count(b)) }

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
