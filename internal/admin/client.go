// Package admin is typed administration of a Kafka-compatible cluster: a call
// takes a specification and returns a struct, or an error that says where and
// why. It works against any broker; what only chronik reports is read from
// tagged fields (package status) and is null elsewhere. It knows no flags and
// prints nothing.
package admin

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// DefaultSeed is where a client looks when it is told no address: the client
// listener of a broker started with no flags.
const DefaultSeed = "127.0.0.1:9092"

// Options say how to reach a cluster.
type Options struct {
	// Seeds are the addresses to try first.
	//
	// The default is DefaultSeed.
	Seeds []string

	// ClientID is what brokers write into their logs.
	//
	// The default is "chronik".
	ClientID string

	// TLS encrypts every connection; nil means plain text.
	TLS *tls.Config

	// SASL names the user; the zero value means no authentication.
	SASL SASL

	// DialTimeout bounds one connection attempt.
	//
	// The default is 3 s.
	DialTimeout time.Duration

	// RetryTimeout bounds how long one request is tried again while brokers
	// answer that they are not ready.
	//
	// The default is 11 s.
	RetryTimeout time.Duration

	// Dial opens connections.
	//
	// The default is a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Logger receives the protocol library's own log at debug level.
	//
	// The default discards it.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if len(o.Seeds) == 0 {
		o.Seeds = []string{DefaultSeed}
	}
	o.Seeds = slices.Clone(o.Seeds)
	for i, seed := range o.Seeds {
		o.Seeds[i] = withPort(seed)
	}
	if o.ClientID == "" {
		o.ClientID = "chronik"
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 3 * time.Second
	}
	if o.RetryTimeout == 0 {
		o.RetryTimeout = 11 * time.Second
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	return o
}

// withPort adds Kafka's port to an address without one.
func withPort(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), "9092")
}

// ClientOpts returns the options as the protocol library takes them, for
// callers that run clients of their own, such as the bench engine.
func (o Options) ClientOpts() ([]kgo.Opt, error) {
	o = o.withDefaults()
	return o.clientOpts(newAttempts(o))
}

func (o Options) clientOpts(a *attempts) ([]kgo.Opt, error) {
	mechanism, err := o.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.Seeds...),
		kgo.ClientID(o.ClientID),
		kgo.Dialer(a.dial),
		kgo.RetryTimeout(o.RetryTimeout),
		kgo.MetadataMinAge(50 * time.Millisecond), // an admin waits for changes it made itself
		kgo.RequestTimeoutOverhead(brokerTimeout),
	}
	if mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism))
	}
	if o.Logger != nil {
		opts = append(opts, kgo.WithLogger(kgoLogger{o.Logger}))
	}
	return opts, nil
}

// Client talks to one cluster. It is safe for concurrent use.
type Client struct {
	kafka    *kgo.Client
	adm      *kadm.Client
	attempts *attempts
	seeds    []string

	mu   sync.Mutex
	home *kgo.Broker // guarded by mu; a seed that answered
}

// Open connects to the first seed that answers. When none does, the error is
// an UnreachableError with what happened at each address.
func Open(ctx context.Context, o Options) (*Client, error) {
	o = o.withDefaults()
	probe, err := dial(o)
	if err != nil {
		return nil, err
	}
	defer probe.Close()
	first, err := probe.firstSeed(ctx)
	if err != nil {
		return nil, probe.connectError(ctx, err)
	}
	// The library asks its seeds in order. With the one that answers in front,
	// a seed that accepts connections and says nothing (a frozen broker, which
	// is what people come here to find) delays nothing.
	seeds := slices.Clone(o.Seeds)
	seeds[0], seeds[first] = seeds[first], seeds[0]
	o.Seeds = seeds
	return dial(o)
}

// dial makes a client; it connects when it is used.
func dial(o Options) (*Client, error) {
	a := newAttempts(o)
	opts, err := o.clientOpts(a)
	if err != nil {
		return nil, err
	}
	kafka, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidOptions, err)
	}
	return &Client{kafka: kafka, adm: kadm.NewClient(kafka), attempts: a, seeds: o.Seeds}, nil
}

// Close ends all connections.
func (c *Client) Close() { c.kafka.Close() }

// kgoLogger hands the protocol library's log to slog, all at debug: what it
// calls an error is often the answer this tool was asked to find.
type kgoLogger struct{ log *slog.Logger }

// Level implements kgo.Logger.
func (l kgoLogger) Level() kgo.LogLevel {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelDebug
	}
	return kgo.LogLevelNone
}

// Log implements kgo.Logger.
func (l kgoLogger) Log(_ kgo.LogLevel, msg string, keyvals ...any) {
	l.log.Debug("kafka client", slog.String("message", msg), slog.Any("detail", keyvals))
}
