package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// brokerTimeout bounds what one broker may take to answer, so that a frozen
// one costs its own numbers and not the whole report.
const brokerTimeout = 5 * time.Second

// any sends a request that every broker can answer to the seed that answered
// last, and when that one fails to all seeds at once. build makes the request:
// one that was sent is not sent again.
func (c *Client) any(ctx context.Context, build func() kmsg.Request) (kmsg.Response, error) {
	c.mu.Lock()
	home := c.home
	c.mu.Unlock()
	if home != nil {
		resp, err := askWithin(ctx, home, build)
		if err == nil || ctx.Err() != nil {
			return resp, err
		}
	}
	won, err := c.race(ctx, build)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.home = won.broker
	c.mu.Unlock()
	return won.resp, nil
}

// askWithin asks one broker, and once more when that fails: a connection that
// was idle may have died with the broker's last run, which says nothing about
// the broker of now.
func askWithin(ctx context.Context, broker *kgo.Broker, build func() kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, brokerTimeout)
	defer cancel()
	resp, err := broker.Request(ctx, build())
	if err != nil && ctx.Err() == nil {
		resp, err = broker.Request(ctx, build())
	}
	return resp, err
}

// ask is askWithin for a broker of the cluster, by id.
func (c *Client) ask(ctx context.Context, broker int32, build func() kmsg.Request) (kmsg.Response, error) {
	resp, err := askWithin(ctx, c.kafka.Broker(int(broker)), build)
	switch {
	case err == nil:
		return resp, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, unreachable{fmt.Errorf("%w within %s", errNoAnswer, brokerTimeout)}
	default:
		return nil, unreachable{err}
	}
}

// unreachable is an ErrUnreachable about one broker, which the problem it is
// in names already.
type unreachable struct{ err error }

// Error returns the cause.
func (u unreachable) Error() string { return u.err.Error() }

// Unwrap makes it an ErrUnreachable beside its cause.
func (u unreachable) Unwrap() []error { return []error{ErrUnreachable, u.err} }

// firstSeed returns the index of the seed that answers first.
func (c *Client) firstSeed(ctx context.Context) (int, error) {
	won, err := c.race(ctx, func() kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{} // none: brokers alone
		return req
	})
	return won.index, err
}

// answer is what one seed said.
type answer struct {
	index  int
	broker *kgo.Broker
	resp   kmsg.Response
	err    error
}

// race sends a request to all seeds at once and returns the first answer, or
// the errors of all. It waits for those it has cancelled.
func (c *Client) race(parent context.Context, build func() kmsg.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(parent, brokerTimeout)
	defer cancel()
	seeds := c.kafka.SeedBrokers()
	answers := make(chan answer, len(seeds)) // no seed waits for us
	for i, seed := range seeds {
		go func() {
			resp, err := seed.Request(ctx, build())
			answers <- answer{i, seed, resp, err}
		}()
	}
	var won answer
	var errs []error
	for range seeds {
		a := <-answers
		switch {
		case a.err == nil && won.resp == nil:
			won = a
			cancel()
		case a.err != nil && won.resp == nil:
			if errors.Is(a.err, context.DeadlineExceeded) && parent.Err() == nil {
				a.err = fmt.Errorf("%w within %s", errNoAnswer, brokerTimeout)
			}
			c.attempts.answered(c.seeds[a.index], a.err)
			errs = append(errs, a.err)
		}
	}
	if won.resp == nil {
		return answer{}, errors.Join(errs...)
	}
	return won, nil
}

// errNoAnswer is a broker that accepts a connection and says nothing.
var errNoAnswer = errors.New("no answer")
