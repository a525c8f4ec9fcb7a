package replication

import (
	"time"

	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/status"
)

// States of a link.
const (
	linkOK         = "ok"
	linkConnecting = "connecting"
	linkCatchingUp = "catching_up"
	linkStalled    = "stalled"
)

// Links describes every link that leaves this broker, by the broker it leads
// to. Links without partitions are left out.
func (m *Manager) Links() []status.Link {
	now := time.Now()
	var all []status.Link
	for _, l := range m.allLinks() {
		if st, ok := l.report(now); ok {
			all = append(all, st)
		}
	}
	return all
}

func (l *link) report(now time.Time) (st status.Link, ok bool) {
	l.mu.Lock()
	streams := make([]*stream, 0, len(l.streams))
	for _, s := range l.streams {
		streams = append(streams, s)
	}
	connected := l.live != nil
	behind := len(l.sessions) < len(l.streams)
	for _, s := range l.sessions {
		behind = behind || s.session.phase != phaseLive
	}
	l.mu.Unlock()
	if len(streams) == 0 {
		return st, false
	}
	st = status.Link{From: int32(l.m.o.Self), To: int32(l.peer), Partitions: len(streams)}
	silent := l.m.since(now) - time.Duration(l.stats.heardAt.Load())
	switch {
	case !connected:
		st.State = linkConnecting
	case silent > 3*l.m.o.PingInterval:
		st.State = linkStalled
	case behind:
		st.State = linkCatchingUp
	default:
		st.State = linkOK
	}
	l.stats.fill(&st, now)
	var sum followerSum
	for _, s := range streams {
		for _, f := range s.replica.Info().Followers {
			if f.ID == l.peer {
				sum.add(f)
			}
		}
	}
	sum.fill(&st)
	return st, true
}

// followerSum adds up what the partitions know of one broker as a follower.
type followerSum struct {
	inSync, shares   int
	records, bytes   int64
	lag              time.Duration
	share            float64
	unknown, noBytes bool // of some partition
}

func (a *followerSum) add(f partition.FollowerInfo) {
	if f.InISR {
		a.inSync++
	}
	a.unknown = a.unknown || f.LagRecords < 0 || f.Lag < 0
	a.noBytes = a.noBytes || f.LagBytes < 0
	a.records += max(f.LagRecords, 0)
	a.bytes += max(f.LagBytes, 0)
	a.lag = max(a.lag, f.Lag)
	if f.AckWaitShare >= 0 {
		a.share += f.AckWaitShare
		a.shares++
	}
}

// fill writes the sums into a status. What is unknown of one partition is
// unknown of all: a sum that leaves it out would look better than it is.
func (a *followerSum) fill(st *status.Link) {
	st.InSync = a.inSync
	if !a.unknown {
		lag := a.lag.Milliseconds()
		st.LagRecords, st.LagMillis = &a.records, &lag
	}
	if !a.unknown && !a.noBytes {
		st.LagBytes = &a.bytes
	}
	if a.shares > 0 {
		share := a.share / float64(a.shares)
		st.SlowestShare = &share
	}
}
