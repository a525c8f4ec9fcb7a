package broken

// Builds are the deliberately broken builds. The names of the rules are those of
// docs/replication.md and docs/invariants.md.
var Builds = []Build{
	{
		Name:    "wal_without_sync",
		Promise: "nothing is acknowledged before it is on disk (D1): syncs of the write-ahead log do nothing",
		Edits: []Edit{{
			File: "internal/wal/commit.go",
			Old:  "err := l.cur.f.Sync()",
			New:  "var err error",
		}},
	},
	{
		Name:    "follower_acks_unsynced",
		Promise: "a follower acknowledges what its disk holds (D1): it acknowledges what it has written",
		Edits: []Edit{{
			File: "internal/partition/append.go",
			Old:  "Async: r.meta.config.Flush == cluster.FlushAsync,",
			New:  "Async: r.lead == nil || r.meta.config.Flush == cluster.FlushAsync,",
		}},
	},
	{
		Name:    "sync_error_ignored",
		Promise: "a failed sync is final: its error is dropped and the log goes on",
		Edits: []Edit{{
			File: "internal/wal/commit.go",
			Old:  "l.meter.syncEnds(began, l.o.Now())",
			New:  "l.meter.syncEnds(began, l.o.Now())\n\terr = nil",
		}},
	},
	{
		Name:    "unknown_position_counts",
		Promise: "a member that the leader has not heard of holds the high watermark back (R8): it is left out instead",
		Edits: []Edit{{
			File: "internal/isr/watermark.go",
			Old:  "return false // unknown, so it could be anywhere",
			New:  "continue",
		}},
	},
	{
		Name:    "first_replica_elected",
		Promise: "a leader comes from the in-sync set (R12): the first replica whose broker is alive is elected",
		Edits: []Edit{{
			File: "internal/cluster/edit.go",
			Old:  "func (e *edit) elect() {\n",
			New: `func (e *edit) elect() {
	for _, id := range e.p.Replicas {
		if b, ok := e.tx.next.Broker(id); ok && b.Eligible() && id != e.p.Leader {
			if !e.p.InISR(id) {
				e.setISR(append([]BrokerID{id}, e.p.ISR...))
			}
			e.lead(id)
			return
		}
	}
`,
		}},
	},
	{
		Name:    "reads_above_high_watermark",
		Promise: "consumers read what is committed (R14): they read to the end of the leader's log",
		Edits: []Edit{{
			File: "internal/partition/read.go",
			Old:  "res := ReadResult{HighWatermark: r.highWatermark, LastStableOffset: r.highWatermark,",
			New:  "res := ReadResult{HighWatermark: r.log.EndOffset(), LastStableOffset: r.log.EndOffset(),",
		}},
	},
	{
		Name:    "duplicates_appended",
		Promise: "a batch sent twice is appended once (I20): it is appended again",
		Edits: []Edit{{
			File: "internal/producer/producer.go",
			Old:  "return Verdict{Kind: Duplicate, Base: was.base, Next: was.next}, nil",
			New:  "_ = was\n\t\t\treturn Verdict{}, nil",
		}},
	},
	{
		Name:    "duplicate_acked_at_once",
		Promise: "a duplicate waits for the high watermark (R13): it is acknowledged at once",
		Edits: []Edit{{
			File: "internal/partition/append.go",
			Old:  "r.await(lead, p, req) // R13: a duplicate waits like the original",
			New:  "p.finish(nil)",
		}},
	},
	{
		Name:    "min_insync_ignored",
		Promise: "nothing is committed below min.insync.replicas (K13): the size of the set does not matter",
		Edits: []Edit{{
			File: "internal/isr/isr.go",
			Old:  "func (s *State) UnderMinISR() bool { return len(s.isr) < s.minISR }",
			New:  "func (s *State) UnderMinISR() bool { return len(s.isr) < min(1, s.minISR) }",
		}, {
			File: "internal/isr/leave.go",
			Old:  "spare := len(s.isr) - len(remove) - s.minISR",
			New:  "spare := len(s.isr) - len(remove) - 1",
		}},
	},
	{
		Name:    "corruption_cut",
		Promise: "damage within the write-ahead log is never cut (W4): everything behind the first bad frame is dropped",
		Edits: []Edit{{
			File: "internal/wal/recover.go",
			Old:  "result := s.result()\n",
			New:  "s.corrupt = false\n\tresult := s.result()\n",
		}},
	},
	{
		Name:    "divergence_kept",
		Promise: "a follower's log is cut where it diverges from the leader's (R7, R6): it keeps what it has",
		Edits: []Edit{{
			File: "internal/partition/truncate.go",
			Old:  "case common == pos.LogEnd:\n\t\treturn Cut{To: common}",
			New:  "case common <= pos.LogEnd:\n\t\treturn Cut{To: pos.LogEnd}",
		}, {
			File: "internal/partition/standing.go",
			Old:  "case holds && (s.LastEpoch != prevEpoch || s.LastCRC != prevCRC):",
			New:  "case false:",
		}},
	},
}

// StrobingClock is not broken: it is a host whose wall clock jumps, every three
// seconds and by up to ten years, forth and back. Nothing but timestamps may
// notice.
var StrobingClock = Build{
	Name:    "strobing_clock",
	Promise: "no election, lease, lag or session depends on the wall clock (A11)",
	Edits: []Edit{{
		Std:  true,
		File: "time/time.go",
		Old:  "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n",
		New: `func Now() Time {
	sec, nsec, mono := runtimeNow()
	sec += [...]int64{0, 86400, -86400, 3600, 315360000, -3, -31536000, 7}[uint64(mono)/3e9%8]
`,
	}},
}
