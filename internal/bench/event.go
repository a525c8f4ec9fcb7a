package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Event is something that happened while load ran.
type Event struct {
	// Millis is when it was seen, since Report.Started.
	Millis int64  `json:"ms"`
	Kind   string `json:"kind"`
	Detail string `json:"detail"`
	// ExitCode and Output are those of a command that was run; the end of what it
	// printed.
	ExitCode *int   `json:"exit_code,omitempty"`
	Output   string `json:"output,omitempty"`
}

// Kinds of events.
const (
	// EventISR is a change of an in-sync set, seen within a second.
	EventISR = "isr"
	// EventLeader is a change of a leader, seen within a second.
	EventLeader = "leader"
	// EventFault is something that the run itself did to the cluster.
	EventFault = "fault"
	// EventRecovered is that every replica is in sync again after that.
	EventRecovered = "recovered"
)

// maxEvents bounds what a cluster that never settles adds to a report.
const maxEvents = 200

// changes lists what differs between two states of a topic.
func changes(before, after topicState) []Event {
	var events []Event
	for i, now := range after {
		if i >= len(before) {
			break // partitions that were added
		}
		was := before[i]
		if was.Leader != now.Leader {
			events = append(events, Event{Kind: EventLeader, Detail: fmt.Sprintf("partition %d: leader %s, was %s", now.Partition, leaderName(now.Leader), leaderName(was.Leader))})
		}
		if !slices.Equal(was.ISR, now.ISR) {
			events = append(events, Event{Kind: EventISR, Detail: fmt.Sprintf("partition %d: in sync %s, was %s", now.Partition, ids(now.ISR), ids(was.ISR))})
		}
	}
	return events
}

func leaderName(id int32) string {
	if id < 0 {
		return "none"
	}
	return fmt.Sprint(id)
}

func ids(list []int32) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ","), "[]")
}

// happened is an Event before anyone knows when the measurement began.
type happened struct {
	Event
	at time.Time
}

// inOrder merges events in the order of time.
func inOrder(lists ...[]happened) []happened {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b happened) int { return a.at.Compare(b.at) })
	return all
}

// since returns the events with their times, none as an empty list.
func since(start time.Time, all []happened) []Event {
	events := []Event{}
	for _, h := range all {
		h.Millis = h.at.Sub(start).Milliseconds()
		events = append(events, h.Event)
	}
	return events
}
