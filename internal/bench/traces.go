package bench

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/status"
	"github.com/chronik-project/chronik/internal/trace"
)

const (
	traceTimeout = 3 * time.Second // of one question
	// tracesPerSecond is how many batches a second one broker is asked for: more
	// would cost it time that is being measured.
	tracesPerSecond = 1000
	// traceSettle is how much longer than the client a broker may take to note
	// that it has answered.
	traceSettle = 50 * time.Millisecond
	maxPull     = 10 * time.Second
	minPull     = 200 * time.Millisecond
)

// errNoTraces is a broker that is not known to serve any.
var errNoTraces = errors.New("it names no HTTP listener with traces")

// traceSource is one broker's traces.
type traceSource struct {
	broker int32
	addr   string // HOST:PORT of its HTTP listener
	since  uint64
	missed uint64
}

// tracer collects the traces of one topic from all brokers that have some. It
// is used by one goroutine at a time.
type tracer struct {
	http    http.Client
	topic   string
	every   uint64
	sources []*traceSource
	notes   []string
	failed  map[int32]bool // brokers whose failure is in notes
}

// findTraces asks every broker where its traces are. given replaces the answer
// for the brokers it names.
func (t *target) findTraces(ctx context.Context, given map[int32]string) *tracer {
	tr := &tracer{
		http: http.Client{Transport: &http.Transport{DialContext: t.dialer()}, Timeout: traceTimeout}, topic: t.topic, every: 1, failed: map[int32]bool{},
	}
	metadata, err := t.admin.BrokerMetadata(ctx)
	if err != nil {
		tr.note("no broker traces: %v", err)
		return tr
	}
	var without []string
	for _, b := range metadata.Brokers {
		addr, err := given[b.NodeID], error(nil)
		if addr == "" {
			addr, err = t.httpAddr(ctx, b)
		}
		source := &traceSource{broker: b.NodeID, addr: addr}
		if err == nil {
			_, err = tr.pull(ctx, source)
		}
		if err != nil {
			without = append(without, fmt.Sprintf("broker %d: %v", b.NodeID, err))
			continue
		}
		tr.sources = append(tr.sources, source)
	}
	switch {
	case len(tr.sources) == 0:
		tr.note("no broker traces (%s): the stages beyond the client are unknown, and the cost of replication is estimated from acks=all less acks=1", strings.Join(without, "; "))
	case len(without) > 0:
		tr.note("the records that some brokers lead are not explained: %s", strings.Join(without, "; "))
	}
	return tr
}

// dialer is how the client connects, tunnels included, unless that encrypts:
// nil then, the usual way.
func (t *target) dialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	if config, ok := t.client.OptValue(kgo.DialTLSConfig).(*tls.Config); ok && config != nil {
		return nil
	}
	dial, _ := t.client.OptValue(kgo.Dialer).(func(context.Context, string, string) (net.Conn, error))
	return dial
}

func (tr *tracer) note(format string, args ...any) {
	tr.notes = append(tr.notes, fmt.Sprintf(format, args...))
}

// httpAddr asks a broker for its HTTP listener. One that listens on every
// address is reached where its clients reach it.
func (t *target) httpAddr(ctx context.Context, b kadm.BrokerDetail) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, traceTimeout)
	defer cancel()
	resp, err := kmsg.NewPtrDescribeQuorumRequest().RequestWith(ctx, t.client.Broker(int(b.NodeID)))
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoTraces, err)
	}
	var self status.Broker
	resp.UnknownTags.Each(func(tag uint32, value []byte) {
		if tag == status.TagBroker && json.Unmarshal(value, &self) != nil {
			self = status.Broker{}
		}
	})
	if self.HTTP == "" {
		return "", errNoTraces
	}
	host, port, err := net.SplitHostPort(self.HTTP)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoTraces, err)
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = b.Host
	}
	return net.JoinHostPort(host, port), nil
}

// expect sets how much is asked for, of a load of so many records a second.
func (tr *tracer) expect(ratePerSecond float64) (pullEvery time.Duration) {
	if len(tr.sources) == 0 {
		return maxPull
	}
	perBroker := ratePerSecond / float64(len(tr.sources))
	tr.every = max(1, uint64(perBroker/tracesPerSecond))
	// In the worst case every record is a batch, and one broker leads them all.
	return min(max(time.Duration(0.75*trace.RingBatches/max(ratePerSecond, 1)*float64(time.Second)), minPull), maxPull)
}

// pullAll returns what is new on all brokers. One that does not answer is noted
// once, and asked again the next time.
func (tr *tracer) pullAll(ctx context.Context) []ledTrace {
	news := make([][]ledTrace, len(tr.sources))
	errs := make([]error, len(tr.sources))
	var asked sync.WaitGroup
	for i, s := range tr.sources {
		asked.Go(func() { news[i], errs[i] = tr.pull(ctx, s) })
	}
	asked.Wait()
	for i, err := range errs {
		if s := tr.sources[i]; err != nil && !tr.failed[s.broker] && ctx.Err() == nil {
			tr.failed[s.broker] = true
			tr.note("traces of broker %d: %v", s.broker, err)
		}
	}
	return slices.Concat(news...)
}

// pull asks one broker until it has nothing more.
func (tr *tracer) pull(ctx context.Context, s *traceSource) (news []ledTrace, err error) {
	for {
		report, err := tr.ask(ctx, s)
		if err != nil {
			return news, err
		}
		for i := range report.Traces {
			news = append(news, ledTrace{leader: s.broker, Produce: &report.Traces[i]})
		}
		s.since = report.Next
		s.missed += report.Missed
		if !report.More {
			return news, nil
		}
	}
}

func (tr *tracer) ask(ctx context.Context, s *traceSource) (*trace.Report, error) {
	query := url.Values{
		"since": {strconv.FormatUint(s.since, 10)}, "every": {strconv.FormatUint(tr.every, 10)},
		"limit": {strconv.Itoa(trace.MaxLimit)}, "topic": {tr.topic},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+trace.Path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := tr.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("http://%s%s: %s", s.addr, trace.Path, resp.Status)
	}
	report := &trace.Report{}
	if err := json.NewDecoder(resp.Body).Decode(report); err != nil {
		return nil, fmt.Errorf("http://%s%s: %w", s.addr, trace.Path, err)
	}
	if report.Schema != trace.Schema || report.Broker != s.broker {
		return nil, fmt.Errorf("http://%s: broker %d with %q answers, not broker %d", s.addr, report.Broker, report.Schema, s.broker)
	}
	return report, nil
}

// ParseTraces reads "ID=HOST:PORT,...".
func ParseTraces(s string) (map[int32]string, error) {
	given := map[int32]string{}
	for item := range strings.SplitSeq(s, ",") {
		id, addr, ok := strings.Cut(strings.TrimSpace(item), "=")
		n, err := strconv.ParseInt(id, 10, 32)
		_, _, splits := net.SplitHostPort(addr)
		if err := cmp.Or(err, splits); !ok || err != nil {
			return nil, fmt.Errorf("%w: traces %q: want BROKER=HOST:PORT of its HTTP listener", ErrConfig, item)
		}
		given[int32(n)] = addr
	}
	return given, nil
}
