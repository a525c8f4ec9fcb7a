package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/chronik-project/chronik/test/faults/history"
)

// Check judges a history and the replicas of its end. It keeps nothing of
// either and changes neither. It takes O(n log n) time.
func Check(h *history.History, final []history.Replica, rules Rules) Report {
	rules = rules.withDefaults()
	report := Report{Counts: map[Class]int{}, Window: rules.Window}
	partitions := group(h, final, &report)
	for _, p := range partitions {
		c := &checker{partition: p, rules: &rules, window: report.Window, count: map[Class]int{}}
		c.check()
		report.add(c)
	}
	report.Void = void(&report, rules.Floor)
	return report
}

// checker judges one partition.
type checker struct {
	*partition
	rules  *Rules
	window Window

	log   *order
	found []Anomaly     // up to rules.Examples of each class
	count map[Class]int // all
	stall Stall
	// unseen counts acknowledged records that no consumer got.
	unseen int
}

func (c *checker) check() {
	c.log = newOrder(c.partition, c.rules.Retention)
	c.writes()
	c.reads()
	c.leaders()
	c.replicas()
	c.liveness()
}

// flag counts an anomaly and, if it is one of the first of its class, keeps it.
func (c *checker) flag(class Class, offset int64, values []uint64, format string, args ...any) {
	c.count[class]++
	if c.count[class] <= c.rules.Examples {
		c.found = append(c.found, Anomaly{
			Class: class, Topic: c.topic, Partition: c.index,
			Offset: offset, Values: values, Detail: fmt.Sprintf(format, args...),
		})
	}
}

// add takes over what was found in one partition.
func (r *Report) add(c *checker) {
	slices.SortStableFunc(c.found, func(a, b Anomaly) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Offset, b.Offset))
	})
	r.Anomalies = append(r.Anomalies, c.found...)
	for class, n := range c.count {
		r.Counts[class] += n
	}
	r.Stalls = append(r.Stalls, c.stall)
	r.UnseenValues += c.unseen
}

// valueText is a value as its client and sequence.
func valueText(v uint64) string {
	if v == history.Garbled {
		return "garbled"
	}
	client := history.ClientOf(v)
	return fmt.Sprintf("%d/%d", client, v-history.ValueOf(client, 0))
}
