package admin

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/chronik-project/chronik/internal/status"
)

// States of a link that no broker reports itself.
const (
	LinkOK         = "ok"
	LinkCatchingUp = "catching_up"
	LinkUnknown    = "unknown"
)

// Link is the replication from one broker to another, as its sending side sees
// it. Pointers are nil (null) where nobody has said.
type Link struct {
	From           int32    `json:"from"`
	To             int32    `json:"to"`
	State          string   `json:"state"`
	Partitions     *int     `json:"partitions"`
	InSync         *int     `json:"in_sync"`
	LagRecords     *int64   `json:"lag_records"`
	LagBytes       *int64   `json:"lag_bytes"`
	LagMillis      *int64   `json:"lag_ms"`
	BytesPerSecond *float64 `json:"bytes_per_second"`
	RTTP50Micros   *int64   `json:"rtt_p50_us"`
	RTTP99Micros   *int64   `json:"rtt_p99_us"`
	FsyncP99Micros *int64   `json:"fsync_p99_us"`
	AckWaitP99     *int64   `json:"ack_wait_p99_us"`
	SlowestShare   *float64 `json:"slowest_share"`
	LastError      *string  `json:"last_error"`
	Reconnects     *int64   `json:"reconnects"`
	Source         string   `json:"source"`
}

// ReplicationReport is every link of a cluster.
type ReplicationReport struct {
	ClusterID string
	Brokers   []int32
	Links     []Link // sorted by from, to
	Problems  []Problem
	Notes     []string
}

// Replication asks each broker for the links that leave it. A broker that
// gives no answer is a problem, and its links are unknown.
func (c *Client) Replication(ctx context.Context) (ReplicationReport, error) {
	md, err := c.metadata(ctx)
	if err != nil {
		return ReplicationReport{}, err
	}
	report := ReplicationReport{ClusterID: md.Cluster, Brokers: md.Brokers.NodeIDs()}
	answers := c.brokerLinks(ctx, report.Brokers)
	silent := make(map[int32]bool) // brokers that answer, but report no links
	for i, broker := range report.Brokers {
		switch a := answers[i]; {
		case a.err != nil:
			report.Problems = append(report.Problems, Problem{brokerSubject(broker), a.err})
			report.Links = append(report.Links, unknownLinks(broker, report.Brokers, md)...)
		case !a.reported:
			silent[broker] = true
		default:
			report.Links = append(report.Links, a.links...)
		}
	}
	if len(silent) > 0 {
		if err := c.deriveLinks(ctx, &report, silent); err != nil {
			return report, err
		}
	}
	slices.SortFunc(report.Links, func(a, b Link) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return report, nil
}

// linksAnswer is what one broker said of its links.
type linksAnswer struct {
	links    []Link
	reported bool // it is a broker that reports links, perhaps none
	err      error
}

// brokerLinks asks all brokers at once and waits for every answer.
func (c *Client) brokerLinks(ctx context.Context, brokers []int32) []linksAnswer {
	answers := make([]linksAnswer, len(brokers))
	var wg sync.WaitGroup
	for i, broker := range brokers {
		wg.Go(func() {
			resp, err := c.describeQuorum(ctx, broker, nil)
			if err != nil {
				answers[i].err = err
				return
			}
			links, ok := tagged[[]status.Link](resp.UnknownTags, status.TagLinks)
			answers[i].reported = ok
			for _, l := range links {
				answers[i].links = append(answers[i].links, reportedLink(l))
			}
		})
	}
	wg.Wait()
	return answers
}

func reportedLink(l status.Link) Link {
	return Link{
		From: l.From, To: l.To, State: l.State,
		Partitions: &l.Partitions, InSync: &l.InSync,
		LagRecords: l.LagRecords, LagBytes: l.LagBytes, LagMillis: l.LagMillis,
		BytesPerSecond: &l.BytesPerSecond,
		RTTP50Micros:   l.RTTP50Micros, RTTP99Micros: l.RTTP99Micros,
		FsyncP99Micros: l.FsyncP99Micros, AckWaitP99: l.AckWaitP99,
		SlowestShare: l.SlowestShare, LastError: textOrNil(l.LastError), Reconnects: &l.Reconnects,
		Source: SourceLeader,
	}
}

// unknownLinks are the links of a broker that gives no answer: which there
// should be is known from the partitions it leads, how they are is not.
func unknownLinks(from int32, brokers []int32, md kadm.Metadata) []Link {
	var links []Link
	for _, to := range brokers {
		if to == from {
			continue
		}
		partitions, inSync := 0, 0
		md.Topics.EachPartition(func(p kadm.PartitionDetail) {
			if p.Leader != from || !slices.Contains(p.Replicas, to) {
				return
			}
			partitions++
			if slices.Contains(p.ISR, to) {
				inSync++
			}
		})
		links = append(links, Link{
			From: from, To: to, State: LinkUnknown, Partitions: &partitions, InSync: &inSync, Source: SourceMetadata,
		})
	}
	return links
}

// deriveLinks adds up partitions for brokers that do not report links.
func (c *Client) deriveLinks(ctx context.Context, report *ReplicationReport, silent map[int32]bool) error {
	isr, err := c.ISR(ctx, ISRQuery{Internal: true})
	if err != nil {
		return err
	}
	report.Links = append(report.Links, sumLinks(isr.Partitions, silent)...)
	report.Problems = append(report.Problems, isr.Problems...)
	report.Notes = append(report.Notes, isr.Notes...)
	return nil
}

// sumLinks adds up the followers of the partitions that the brokers in from
// lead. One unknown lag makes the sum unknown.
func sumLinks(partitions []ISRPartition, from map[int32]bool) []Link {
	type pair struct{ from, to int32 }
	sums := make(map[pair]*Link)
	for _, p := range partitions {
		if !from[p.Leader] {
			continue
		}
		for _, f := range p.Followers {
			key := pair{p.Leader, f.Broker}
			link := sums[key]
			if link == nil {
				link = &Link{
					From: p.Leader, To: f.Broker, Source: SourceReplicas,
					Partitions: new(int), InSync: new(int), LagRecords: new(int64), LagBytes: new(int64),
				}
				sums[key] = link
			}
			*link.Partitions++
			if f.InISR {
				*link.InSync++
			}
			link.LagRecords = plus(link.LagRecords, f.LagRecords)
			link.LagBytes = plus(link.LagBytes, f.LagBytes)
		}
	}
	links := make([]Link, 0, len(sums))
	for _, link := range sums {
		link.State = derivedState(*link)
		links = append(links, *link)
	}
	return links
}

func derivedState(l Link) string {
	switch {
	case *l.InSync == *l.Partitions:
		return LinkOK
	case l.LagRecords != nil && *l.LagRecords > 0:
		return LinkCatchingUp
	default:
		return LinkUnknown
	}
}

func plus(sum, n *int64) *int64 {
	if sum == nil || n == nil {
		return nil
	}
	*sum += *n
	return sum
}
