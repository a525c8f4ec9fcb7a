package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Each line of a written history is one object with one field: an operation,
// or a part of a replica. Records are arrays of offset, value and epoch,
// batches of base, last, epoch and CRC; a garbled value is -1.
type line struct {
	Op      *opLine      `json:"op,omitempty"`
	Replica *replicaLine `json:"replica,omitempty"`
}

type opLine struct {
	Kind          string      `json:"kind"`
	Outcome       string      `json:"outcome"`
	Client        int32       `json:"client"`
	Start         int64       `json:"start_ns"`
	End           int64       `json:"end_ns"`
	Topic         string      `json:"topic,omitempty"`
	Partition     int32       `json:"partition"`
	Value         uint64      `json:"value,omitempty"`
	Offset        int64       `json:"offset"`
	Guarantee     string      `json:"guarantee,omitempty"`
	Attempts      int32       `json:"attempts,omitempty"`
	LeaderEpoch   int32       `json:"epoch"`
	Node          int32       `json:"node"`
	Records       [][3]int64  `json:"records,omitempty"`
	HighWatermark int64       `json:"high_watermark"`
	State         *sampleLine `json:"state,omitempty"`
	Error         string      `json:"error,omitempty"`
}

type sampleLine struct {
	Leader     int32   `json:"leader"`
	Replicas   []int32 `json:"replicas"` // null: not said
	ISR        []int32 `json:"isr"`
	LogStart   int64   `json:"log_start"`
	MinISR     int32   `json:"min_isr,omitempty"`
	ISRVersion string  `json:"isr_version,omitempty"`
}

type replicaLine struct {
	Node          int32      `json:"node"`
	Topic         string     `json:"topic"`
	Partition     int32      `json:"partition"`
	LogStart      int64      `json:"log_start"`
	HighWatermark int64      `json:"high_watermark"`
	Records       [][3]int64 `json:"records,omitempty"`
	Batches       [][4]int64 `json:"batches,omitempty"`
}

// names are the texts of the small enumerations, by value.
var (
	kindNames      = []string{"send", "poll", "state", "fault"}
	outcomeNames   = []string{"info", "ok", "fail"}
	guaranteeNames = []string{"", "ordered", "idempotent"}
)

// ErrMalformed says that a line is none of a history.
var ErrMalformed = errors.New("malformed line of a history")

// piece bounds how many records or batches of a replica stand in one line.
const piece = 4096

// Write writes a history and the replicas of its end.
func Write(w io.Writer, h *History, final []Replica) error {
	buffered := bufio.NewWriterSize(w, 1<<16)
	out := json.NewEncoder(buffered)
	out.SetEscapeHTML(false)
	for op := range h.All() {
		if err := out.Encode(line{Op: toLine(&op)}); err != nil {
			return fmt.Errorf("write operation %d: %w", op.ID, err)
		}
	}
	for i := range final {
		if err := writeReplica(out, &final[i]); err != nil {
			return fmt.Errorf("write replica %d of %s-%d: %w", final[i].Node, final[i].Topic, final[i].Partition, err)
		}
	}
	return buffered.Flush()
}

func writeReplica(out *json.Encoder, r *Replica) error {
	records, batches := r.Records, r.Batches
	for first := true; first || len(records) > 0 || len(batches) > 0; first = false {
		l := replicaLine{Node: r.Node, Topic: r.Topic, Partition: r.Partition, LogStart: r.LogStart, HighWatermark: r.HighWatermark}
		n, m := min(piece, len(records)), min(piece, len(batches))
		l.Records = triples(records[:n])
		for _, b := range batches[:m] {
			l.Batches = append(l.Batches, [4]int64{b.Base, b.Last, int64(b.LeaderEpoch), int64(b.CRC)})
		}
		records, batches = records[n:], batches[m:]
		if err := out.Encode(line{Replica: &l}); err != nil {
			return err
		}
	}
	return nil
}

// Read reads what Write wrote. The history that it returns has no clock of its
// own: Now is the time since it was read.
func Read(r io.Reader) (*History, []Replica, error) {
	h := New()
	var final []Replica
	in := json.NewDecoder(bufio.NewReaderSize(r, 1<<16))
	for n := 1; ; n++ {
		var l line
		err := in.Decode(&l)
		if errors.Is(err, io.EOF) {
			return h, final, nil
		}
		switch {
		case err != nil:
		case l.Op != nil:
			var op Op
			if op, err = l.Op.op(); err == nil {
				h.Add(op)
			}
		case l.Replica != nil:
			final = l.Replica.join(final)
		default:
			err = errors.New("neither operation nor replica")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%w: line %d: %w", ErrMalformed, n, err)
		}
	}
}

func toLine(op *Op) *opLine {
	l := &opLine{
		Kind: kindNames[op.Kind], Outcome: outcomeNames[op.Outcome], Guarantee: guaranteeNames[op.Guarantee],
		Client: op.Client, Start: int64(op.Start), End: int64(op.End),
		Topic: op.Topic, Partition: op.Partition,
		Value: op.Value, Offset: op.Offset, Attempts: op.Attempts,
		LeaderEpoch: op.LeaderEpoch, Node: op.Node,
		Records: triples(op.Records), HighWatermark: op.HighWatermark,
		Error: op.Error,
	}
	if s := op.State; s != nil {
		l.State = (*sampleLine)(s)
	}
	return l
}

func (l *opLine) op() (Op, error) {
	kind := slices.Index(kindNames, l.Kind)
	outcome := slices.Index(outcomeNames, l.Outcome)
	guarantee := slices.Index(guaranteeNames, l.Guarantee)
	if kind < 0 || outcome < 0 || guarantee < 0 {
		return Op{}, fmt.Errorf("kind %q, outcome %q, guarantee %q", l.Kind, l.Outcome, l.Guarantee)
	}
	return Op{
		Kind: Kind(kind), Outcome: Outcome(outcome), Guarantee: Guarantee(guarantee),
		Client: l.Client, Start: time.Duration(l.Start), End: time.Duration(l.End),
		Topic: l.Topic, Partition: l.Partition,
		Value: l.Value, Offset: l.Offset, Attempts: l.Attempts,
		LeaderEpoch: l.LeaderEpoch, Node: l.Node,
		Records: records(l.Records), HighWatermark: l.HighWatermark,
		State: (*Sample)(l.State), Error: l.Error,
	}, nil
}

// join adds this part to the replica that the line before began, or begins one.
func (l *replicaLine) join(final []Replica) []Replica {
	last := len(final) - 1
	if last < 0 || final[last].Node != l.Node || final[last].Topic != l.Topic || final[last].Partition != l.Partition {
		final = append(final, Replica{Node: l.Node, Topic: l.Topic, Partition: l.Partition, LogStart: l.LogStart, HighWatermark: l.HighWatermark})
		last++
	}
	r := &final[last]
	r.Records = append(r.Records, records(l.Records)...)
	for _, b := range l.Batches {
		r.Batches = append(r.Batches, Batch{Base: b[0], Last: b[1], LeaderEpoch: int32(b[2]), CRC: uint32(b[3])})
	}
	return final
}

func triples(records []Record) [][3]int64 {
	var out [][3]int64
	for _, r := range records {
		out = append(out, [3]int64{r.Offset, int64(r.Value), int64(r.LeaderEpoch)})
	}
	return out
}

func records(lines [][3]int64) []Record {
	var out []Record
	for _, l := range lines {
		out = append(out, Record{Offset: l[0], Value: uint64(l[1]), LeaderEpoch: int32(l[2])})
	}
	return out
}
