package admin

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// SASL is how a client proves who it is.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
	//
	// The default is SCRAM-SHA-512 when a user is given.
	Mechanism string
	User      string
	Password  string
}

// Mechanisms lists the SASL mechanisms that a client can use.
func Mechanisms() []string { return []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} }

// mechanism returns nil when no user is given.
func (s SASL) mechanism() (sasl.Mechanism, error) {
	if s.User == "" {
		if s.Mechanism != "" || s.Password != "" {
			return nil, fmt.Errorf("%w: SASL mechanism or password without a user", ErrInvalidOptions)
		}
		return nil, nil // no mechanism is a valid choice, not a failure
	}
	switch strings.ToUpper(s.Mechanism) {
	case "PLAIN":
		return plain.Auth{User: s.User, Pass: s.Password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism(), nil
	case "", "SCRAM-SHA-512":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism(), nil
	default:
		return nil, fmt.Errorf("%w: SASL mechanism %q: want %s",
			ErrInvalidOptions, s.Mechanism, strings.Join(Mechanisms(), ", "))
	}
}
