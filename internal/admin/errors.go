package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Causes that callers tell apart.
var (
	ErrUnreachable    = errors.New("cannot reach the cluster")
	ErrAuthentication = errors.New("authentication failed")
	ErrInvalidOptions = errors.New("invalid client options")
	ErrUnknownTopic   = error(kerr.UnknownTopicOrPartition)
	ErrTopicExists    = error(kerr.TopicAlreadyExists)
)

// Error is a Kafka error about one thing.
type Error struct {
	Subject string // what was asked about: topic "orders"
	Message string // the broker's own words; empty when it gave none
	Err     error  // the Kafka error
}

// Error returns subject, name, number and the broker's words.
func (e *Error) Error() string {
	var kafka *kerr.Error
	if !errors.As(e.Err, &kafka) {
		return fmt.Sprintf("%s: %v", e.Subject, e.Err)
	}
	message := e.Message
	if message == "" {
		message = kafka.Description
	}
	return fmt.Sprintf("%s: %s (%d): %s", e.Subject, kafka.Message, kafka.Code, message)
}

// Unwrap returns the Kafka error.
func (e *Error) Unwrap() error { return e.Err }

// codeError returns nil for code 0.
func codeError(subject string, code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil {
		return nil
	}
	e := &Error{Subject: subject, Err: err}
	if message != nil {
		e.Message = strings.TrimPrefix(*message, subject+": ") // some brokers say it again
	}
	return e
}

// topicSubject names a topic the way every message does.
func topicSubject(name string) string { return fmt.Sprintf("topic %q", name) }

// brokerSubject names a broker the way every message does.
func brokerSubject(id int32) string { return fmt.Sprintf("broker %d", id) }

// Cause is what an error carries of Kafka's own: name, number, words.
type Cause struct {
	Name    string
	Code    int16
	Message string
	Subject string
}

// CauseOf finds the Kafka error inside err.
func CauseOf(err error) (Cause, bool) {
	kafka, ok := errors.AsType[*kerr.Error](err)
	if !ok {
		return Cause{}, false
	}
	cause := Cause{Name: kafka.Message, Code: kafka.Code, Message: kafka.Description}
	if own, ok := errors.AsType[*Error](err); ok {
		cause.Subject = own.Subject
		if own.Message != "" {
			cause.Message = own.Message
		}
	}
	return cause, true
}

// UnreachableError says which addresses were tried and what each answered.
type UnreachableError struct {
	Seeds    []string
	Attempts []Attempt
	Err      error
}

// Error returns the one-line form; Attempts has the rest.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("cannot connect to %s: %v", strings.Join(e.Seeds, ", "), e.Err)
}

// Unwrap makes it an ErrUnreachable beside its cause.
func (e *UnreachableError) Unwrap() []error { return []error{ErrUnreachable, e.Err} }

// Advertised returns addresses that are not seeds and could not be dialled: a
// seed answered, but what it advertises is not reachable from here.
func (e *UnreachableError) Advertised() []Attempt { return strangers(e.Attempts, e.Seeds) }

// connectError turns a request that got no answer into what the user can act
// on. Cancellation stays cancellation.
func (c *Client) connectError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if isAuthentication(err) {
		return fmt.Errorf("%w at %s: %w", ErrAuthentication, strings.Join(c.seeds, ", "), err)
	}
	if _, answered := CauseOf(err); answered {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return &UnreachableError{Seeds: c.seeds, Attempts: c.attempts.list(), Err: err}
}

func isAuthentication(err error) bool {
	return errors.Is(err, kerr.SaslAuthenticationFailed) ||
		errors.Is(err, kerr.UnsupportedSaslMechanism) ||
		errors.Is(err, kerr.IllegalSaslState)
}
