package bench

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A coordinator and a worker exchange messages over one connection: four bytes
// of length, big endian, and that much JSON. The coordinator begins with a
// hello; a worker of another protocol refuses.
const (
	workerProtocol  = 1
	maxMessage      = 256 << 20 // a result has some 10 KB for each second and arm
	helloLimit      = 5 * time.Second
	messageLimit    = 30 * time.Second // to write a message, or to read the rest of one
	planLimit       = time.Minute      // from the hello to the plan: all workers are greeted first
	runLimit        = 24 * time.Hour   // between two messages of a coordinator during a run
	aliveInterval   = time.Second
	silenceLimit    = 10 * time.Second // a worker that says nothing for so long is lost
	clockSamples    = 16
	maxHelloMessage = 4 << 10
)

// ErrProtocol is a peer that does not speak the protocol, or not this one.
var ErrProtocol = errors.New("not a worker of this version")

// message is everything that is said; one field is set beside Kind.
type message struct {
	Kind     string      `json:"kind"`
	Protocol int         `json:"protocol,omitempty"`
	Version  string      `json:"version,omitempty"`
	Cluster  string      `json:"cluster,omitempty"`
	Nanos    int64       `json:"nanos,omitempty"` // the worker's own monotonic clock
	Vote     bool        `json:"vote,omitempty"`
	Text     string      `json:"text,omitempty"`
	Plan     *workPlan   `json:"plan,omitempty"`
	Result   *workResult `json:"result,omitempty"`
}

// Kinds of messages.
const (
	sayHello  = "hello"  // both: Protocol, Version; the worker's Cluster
	sayClock  = "clock"  // what does yours say? and the answer: Nanos
	sayPlan   = "plan"   // the coordinator: Plan
	sayReady  = "ready"  // the worker is ready for a turn: Vote
	sayGo     = "go"     // the turn begins at Nanos; Vote is that all voted so
	sayAlive  = "alive"  // the worker is still there
	sayStop   = "stop"   // the coordinator wants what there is
	sayResult = "result" // the worker: Result
	sayError  = "error"  // either gives up: Text
)

// link is one end of a connection.
type link struct{ conn net.Conn }

func (l link) send(m message) error {
	p, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(p) > maxMessage {
		return fmt.Errorf("a message of %d bytes: more than %d", len(p), maxMessage)
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(messageLimit)); err != nil {
		return err
	}
	_, err = l.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(p))), p...))
	return err
}

// receive waits for a message until limit.
func (l link) receive(limit time.Duration, most uint32) (message, error) {
	var m message
	if err := l.conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return m, err
	}
	var head [4]byte
	if _, err := io.ReadFull(l.conn, head[:]); err != nil {
		return m, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > most {
		return m, fmt.Errorf("%w: a message of %d bytes", ErrProtocol, n)
	}
	if err := l.conn.SetReadDeadline(time.Now().Add(messageLimit)); err != nil {
		return m, err
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(l.conn, p); err != nil {
		return m, err
	}
	if err := json.Unmarshal(p, &m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if m.Kind == sayError {
		return m, errors.New(m.Text)
	}
	return m, nil
}

// expect receives a short message of one kind.
func (l link) expect(kind string) (message, error) {
	m, err := l.receive(helloLimit, maxHelloMessage)
	if err == nil && m.Kind != kind {
		err = fmt.Errorf("%w: it says %q, where %q is due", ErrProtocol, m.Kind, kind)
	}
	return m, err
}
