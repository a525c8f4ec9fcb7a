package bench

import (
	"slices"
	"testing"
)

const testRun = 42

// seen is one record as a consumer gets it.
type seen struct {
	partition int32
	offset    int64
	value     []byte
}

// history is a run over two partitions as a faultless cluster keeps it: two
// producers, acks=all and acks=0, ten records each, and one failed record.
func history() (ledgers []*ledger, log []seen) {
	ledgers = []*ledger{newLedger(AcksAll), newLedger(AcksNone)}
	ends := map[int32]int64{}
	for i := range 20 {
		producer := uint32(i % 2)
		l := ledgers[producer]
		sequence, partition := l.add(2)
		value := make([]byte, 64)
		stamp{run: testRun, sequence: sequence, producer: producer}.write(value)
		log = append(log, seen{partition: partition, offset: ends[partition], value: value})
		if l.arm == AcksAll {
			l.ack(sequence, partition, ends[partition])
		} else {
			l.sent(sequence, partition)
		}
		ends[partition]++
	}
	sequence, partition := ledgers[0].add(2)
	ledgers[0].fail(sequence, partition)
	return ledgers, log
}

// mutations are what a broker may do to the log. Of the records of history,
// even indexes belong to acks=all, odd ones to acks=0.
func TestVerifierFlagsEveryMutation(t *testing.T) {
	t.Parallel()
	faultless := Counts{Acked: 10, ReadBack: 20, UnackedPresent: 10, UnackedMissing: 1}
	with := func(change func(*Counts)) Counts {
		c := faultless
		change(&c)
		return c
	}
	tests := []struct {
		name   string
		mutate func(log []seen) []seen
		want   Counts
		broken bool
		first  string // kind of the first problem
	}{
		{name: "none", mutate: func(log []seen) []seen { return log }, want: faultless},
		{
			name:   "drop an acked record",
			mutate: func(log []seen) []seen { return slices.Delete(log, 4, 5) },
			want:   with(func(c *Counts) { c.Lost, c.ReadBack = 1, 19 }), broken: true, first: kindLost,
		},
		{
			name:   "drop a record of acks=0",
			mutate: func(log []seen) []seen { return slices.Delete(log, 5, 6) },
			want:   with(func(c *Counts) { c.ReadBack, c.UnackedPresent, c.UnackedMissing = 19, 9, 2 }),
		},
		{
			name: "duplicate",
			mutate: func(log []seen) []seen {
				again := log[4]
				again.offset = 100
				return append(log, again)
			},
			want: with(func(c *Counts) { c.Duplicates = 1 }), broken: true, first: kindDuplicate,
		},
		{
			name: "swap two of a partition",
			mutate: func(log []seen) []seen {
				log[0].value, log[4].value = log[4].value, log[0].value // partition 0, sequences 0 and 2
				return log
			},
			want: with(func(c *Counts) { c.Reordered, c.Misplaced = 1, 2 }), broken: true, first: kindReordered,
		},
		{
			name: "flip a bit",
			mutate: func(log []seen) []seen {
				log[4].value[40] ^= 1
				return log
			},
			want: with(func(c *Counts) { c.Corrupt, c.Lost, c.ReadBack = 1, 1, 19 }), broken: true, first: kindCorrupt,
		},
		{
			name: "cut a value",
			mutate: func(log []seen) []seen {
				log[4].value = log[4].value[:20]
				return log
			},
			want: with(func(c *Counts) { c.Corrupt, c.Lost, c.ReadBack = 1, 1, 19 }), broken: true, first: kindCorrupt,
		},
		{
			name: "keep a record elsewhere than acked",
			mutate: func(log []seen) []seen {
				log[4].offset += 7
				return log
			},
			want: with(func(c *Counts) { c.Misplaced = 1 }), broken: true, first: kindMisplaced,
		},
		{
			name: "move a record to another partition",
			mutate: func(log []seen) []seen {
				log[4].partition = 1
				return log
			},
			want: with(func(c *Counts) { c.Misplaced = 1 }), broken: true, first: kindMisplaced,
		},
		{
			name: "keep a record that failed",
			mutate: func(log []seen) []seen {
				value := make([]byte, 64)
				stamp{run: testRun, sequence: 10}.write(value)
				return append(log, seen{partition: 0, offset: 100, value: value})
			},
			want: with(func(c *Counts) { c.ReadBack, c.UnackedPresent, c.UnackedMissing = 21, 11, 0 }),
		},
		{
			name: "invent a sequence",
			mutate: func(log []seen) []seen {
				value := make([]byte, 64)
				stamp{run: testRun, sequence: 1000}.write(value)
				return append(log, seen{value: value})
			},
			want: with(func(c *Counts) { c.Corrupt = 1 }), broken: true, first: kindCorrupt,
		},
		{
			name: "invent a producer",
			mutate: func(log []seen) []seen {
				value := make([]byte, 64)
				stamp{run: testRun, producer: 9}.write(value)
				return append(log, seen{value: value})
			},
			want: with(func(c *Counts) { c.Corrupt = 1 }), broken: true, first: kindCorrupt,
		},
		{
			name: "lose everything", mutate: func([]seen) []seen { return nil },
			want: Counts{Acked: 10, Lost: 10, UnackedMissing: 11}, broken: true, first: kindLost,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ledgers, log := history()
			v := newVerifier(testRun, ledgers)
			for _, r := range tt.mutate(log) {
				v.observe(r.partition, r.offset, r.value)
			}
			got := v.finish(true)
			if got.Counts != tt.want {
				t.Errorf("got  %+v\nwant %+v", got.Counts, tt.want)
			}
			if got.broken() != tt.broken {
				t.Errorf("broken is %t, want %t", got.broken(), tt.broken)
			}
			if tt.first != "" && (len(got.Problems) == 0 || got.Problems[0].Kind != tt.first) {
				t.Errorf("problems are %+v, want the first to be %s", got.Problems, tt.first)
			}
		})
	}
}

func TestRecordsOfOtherRunsAreNobodysFault(t *testing.T) {
	t.Parallel()
	ledgers, log := history()
	v := newVerifier(testRun, ledgers)
	value := make([]byte, 64)
	stamp{run: testRun + 1}.write(value)
	v.observe(0, 1000, value)
	for _, r := range log {
		v.observe(r.partition, r.offset, r.value)
	}
	if got := v.finish(true); got.Foreign != 1 || got.broken() {
		t.Errorf("foreign is %d, broken is %t; want 1 and false", got.Foreign, got.broken())
	}
}

// What was not read is not known to be lost.
func TestIncompleteReadingAccusesNobody(t *testing.T) {
	t.Parallel()
	ledgers, log := history()
	v := newVerifier(testRun, ledgers)
	for _, r := range log[:6] {
		v.observe(r.partition, r.offset, r.value)
	}
	if got := v.finish(false); got.Lost != 0 || got.Unverified != 7 {
		t.Errorf("lost %d, unverified %d; want 0 and 7", got.Lost, got.Unverified)
	}
}

func TestProblemsAreBoundedAndCounted(t *testing.T) {
	t.Parallel()
	l := newLedger(AcksAll)
	for range 1000 {
		sequence, partition := l.add(1)
		l.ack(sequence, partition, int64(sequence))
	}
	got := newVerifier(testRun, []*ledger{l}).finish(true)
	if got.Lost != 1000 || len(got.Problems) != maxProblems {
		t.Errorf("lost %d with %d examples, want 1000 with %d", got.Lost, len(got.Problems), maxProblems)
	}
}

func TestAcksThatComeTooLateDoNotCount(t *testing.T) {
	t.Parallel()
	l := newLedger(AcksAll)
	sequence, partition := l.add(1)
	l.freeze()
	l.ack(sequence, partition, 0)
	if got := newVerifier(testRun, []*ledger{l}).finish(true); got.Acked != 0 || got.Lost != 0 || got.UnackedMissing != 1 {
		t.Errorf("got %+v, want one unacked record that is missing", got.Counts)
	}
}

func TestLedgerGrowsPastAChunk(t *testing.T) {
	t.Parallel()
	const n = entriesPerChunk + 10
	l := newLedger(AcksAll)
	for range n {
		l.add(3)
	}
	l.ack(n-1, 2, 77)
	var got entry
	var visited uint64
	l.each(func(sequence uint64, e *entry) {
		if sequence != visited {
			t.Fatalf("visited %d, want %d", sequence, visited)
		}
		visited++
		got = *e
	})
	if visited != n || got.offset != 77 || got.outcome != acked {
		t.Errorf("visited %d of %d, the last is %+v", visited, n, got)
	}
}
