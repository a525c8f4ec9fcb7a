package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"

	"github.com/chronik-project/chronik/internal/cluster"
)

// Kind says what a connection is for. The values are part of the wire format.
type Kind byte

// Kinds of connections between brokers.
const (
	KindRaft       Kind = 1 // the metadata log
	KindLive       Kind = 2 // replication, latency lane
	KindBulk       Kind = 3 // replication, catch-up lane
	KindController Kind = 4 // requests to the controller
)

// String names the kind in logs and refusals.
func (k Kind) String() string {
	switch k {
	case KindRaft:
		return "raft"
	case KindLive:
		return "live"
	case KindBulk:
		return "bulk"
	case KindController:
		return "controller"
	default:
		return fmt.Sprintf("kind(%d)", byte(k))
	}
}

// Proto is the protocol version that this broker speaks on the peer port.
const Proto = 1

// Hello is what each side says first.
type Hello struct {
	Kind Kind
	// ClusterID is empty while the broker does not know its cluster yet.
	ClusterID string
	// Brokers are the ids of the brokers that the sender was started with, "1,2,3",
	// while it does not know its cluster yet. Two brokers that were told different
	// things must not found a cluster together.
	Brokers string
	// From is the sender; To is whom it means to talk to, NoBroker for anybody.
	From, To cluster.BrokerID
	// Incarnation and BrokerEpoch name the sender's process; the epoch is zero
	// before it is registered.
	Incarnation cluster.UUID
	BrokerEpoch cluster.BrokerEpoch
	// Proto is filled in when a Hello is sent.
	Proto uint8
}

// A preamble is sent once in each direction, the dialer's first:
//
//	 0        4      5      6      7      8        12       16
//	+--------+------+------+------+------+--------+--------+
//	| "CHRK" | Prot | Kind | Flag | Len  | From   | To     |
//	+--------+------+------+------+------+--------+--------+
//	 16                   32                40           40+Len      44+Len
//	+--------------------+-----------------+------ ... --+----------+
//	| Incarnation        | Broker epoch    | Text        | CRC32C   |
//	+--------------------+-----------------+------ ... --+----------+
//
// Integers are big-endian; the CRC covers everything before it. With flag 0 the
// text is the cluster id, with flag 1 the sender refuses the connection and the
// text says why, with flag 2 the sender knows no cluster yet and the text lists
// the brokers it was started with. These constants are part of the wire format and must not be
// changed.
const (
	preambleMagic  = "CHRK"
	preambleHeader = 40
	preambleCRC    = 4
	flagHello      = 0
	flagRefused    = 1
	flagNewborn    = 2
	// maxText is what the one length byte can say.
	maxText = 255
)

var (
	// ErrRefused means that the other side answered and does not want the
	// connection; [RefusedError] says why.
	ErrRefused = errors.New("peer refused the connection")
	// errPreamble means that the other side does not speak this protocol.
	errPreamble = errors.New("not a chronik peer")
)

// RefusedError carries the text with which a peer, or this broker's own check
// of the peer's answer, refused a connection.
type RefusedError struct {
	Addr   string
	Reason string
}

// Error says who refused and why.
func (e *RefusedError) Error() string { return fmt.Sprintf("peer %s: %s", e.Addr, e.Reason) }

// Unwrap makes errors.Is(err, ErrRefused) true.
func (e *RefusedError) Unwrap() error { return ErrRefused }

// preamble is one direction's first bytes, decoded.
type preamble struct {
	hello Hello
	// refusal is set instead of a cluster id when the sender refuses.
	refusal string
}

// listed is a list of ids as Hello.Brokers has it. One that is too long for the
// preamble is represented by its checksum.
func listed(ids []cluster.BrokerID) string {
	ids = slices.Sorted(slices.Values(ids))
	var text []byte
	for i, id := range ids {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, int64(id), 10)
	}
	if len(text) > maxText {
		return fmt.Sprintf("%d brokers with checksum %08x", len(ids), castagnoli(text))
	}
	return string(text)
}

func castagnoli(p []byte) uint32 { return crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)) }

// encodePreamble encodes a preamble. A text that is too long is cut: reasons
// are for people, and cluster ids are checked to be shorter.
func encodePreamble(p preamble) []byte {
	flag, text := byte(flagHello), p.hello.ClusterID
	switch {
	case p.refusal != "":
		flag, text = flagRefused, p.refusal
	case text == "" && p.hello.Brokers != "":
		flag, text = flagNewborn, p.hello.Brokers
	}
	text = text[:min(len(text), maxText)]
	dst := make([]byte, 0, preambleHeader+len(text)+preambleCRC)
	dst = append(dst, preambleMagic...)
	dst = append(dst, p.hello.Proto, byte(p.hello.Kind), flag, byte(len(text)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.hello.From))
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.hello.To))
	dst = append(dst, p.hello.Incarnation[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.hello.BrokerEpoch))
	dst = append(dst, text...)
	return binary.BigEndian.AppendUint32(dst, castagnoli(dst))
}

// readPreamble reads one preamble and not a byte more. It takes at most 299
// bytes whatever the other side sends.
func readPreamble(r io.Reader) (preamble, error) {
	buf := make([]byte, preambleHeader, preambleHeader+maxText+preambleCRC)
	if _, err := io.ReadFull(r, buf); err != nil {
		return preamble{}, fmt.Errorf("read preamble: %w", err)
	}
	if string(buf[:4]) != preambleMagic {
		return preamble{}, fmt.Errorf("first bytes %q: %w", buf[:4], errPreamble)
	}
	rest := int(buf[7]) + preambleCRC
	buf = buf[:preambleHeader+rest]
	if _, err := io.ReadFull(r, buf[preambleHeader:]); err != nil {
		return preamble{}, fmt.Errorf("read preamble: %w", err)
	}
	body := buf[:len(buf)-preambleCRC]
	if got, want := castagnoli(body), binary.BigEndian.Uint32(buf[len(body):]); got != want {
		return preamble{}, fmt.Errorf("preamble crc %08x, says %08x: %w", got, want, errPreamble)
	}
	p := preamble{hello: Hello{
		Proto:       buf[4],
		Kind:        Kind(buf[5]),
		From:        cluster.BrokerID(int32(binary.BigEndian.Uint32(buf[8:]))),
		To:          cluster.BrokerID(int32(binary.BigEndian.Uint32(buf[12:]))),
		Incarnation: cluster.UUID(buf[16:32]),
		BrokerEpoch: cluster.BrokerEpoch(int64(binary.BigEndian.Uint64(buf[32:]))),
	}}
	text := string(body[preambleHeader:])
	switch buf[6] {
	case flagHello:
		p.hello.ClusterID = text
	case flagNewborn:
		p.hello.Brokers = text
	case flagRefused:
		p.refusal = text
		if text == "" {
			p.refusal = "no reason given"
		}
	default:
		return preamble{}, fmt.Errorf("preamble flag %d: %w", buf[6], errPreamble)
	}
	return p, nil
}
