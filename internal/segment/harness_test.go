package segment

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/vfs"
)

const testDir = "data/topics/t/0"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// small are options under which a few batches fill a segment.
func small(fsys vfs.FS) Options {
	return Options{FS: fsys, Dir: testDir, SegmentBytes: 1500, IndexIntervalBytes: 200}
}

func (o Options) at(m Mark) Options {
	o.Mark = m
	return o
}

func mustOpen(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	must(t, err)
	return l
}

// batch makes a stamped batch. Its records have the timestamps base, base+1 …
// times ten.
func batch(base int64, records int, epoch cluster.Epoch, valueBytes int) record.Batch {
	b := record.NewBuilder(base)
	for i := range records {
		value := bytes.Repeat([]byte{byte('a' + (base+int64(i))%26)}, valueBytes)
		b = b.Append(nil, value, nil, (base+int64(i))*10)
	}
	p := b.Bytes()
	p.Stamp(base, int32(epoch))
	return p
}

// fill appends n batches of three records and about 100 bytes.
func fill(t testing.TB, l *Log, n int, epoch cluster.Epoch) {
	t.Helper()
	for range n {
		must(t, l.Append(batch(l.EndOffset(), 3, epoch, 4)))
	}
}

// checkpoint makes a log durable and returns the mark.
func checkpoint(t testing.TB, l *Log) Mark {
	t.Helper()
	m := l.Mark(0)
	must(t, l.Sync(m))
	must(t, l.Committed(m))
	return m
}

// readAll reads the whole log in small steps.
func readAll(l *Log) ([]byte, error) { return readFrom(l, l.StartOffset(), 300) }

func readFrom(l *Log, offset int64, maxBytes int) ([]byte, error) {
	var all []byte
	for offset < l.EndOffset() {
		chunks, err := l.Read(offset, maxBytes, l.EndOffset(), true)
		if err != nil {
			return nil, err
		}
		if len(chunks) == 0 {
			return nil, fmt.Errorf("nothing to read at offset %d, log ends at %d", offset, l.EndOffset())
		}
		for _, c := range chunks {
			for rest := c; len(rest) > 0; {
				var b record.Batch
				if b, rest, err = record.Next(rest); err != nil {
					return nil, err
				}
				if err := record.Validate(b, 0); err != nil {
					return nil, err
				}
				offset = b.NextOffset()
			}
			all = append(all, c...)
		}
	}
	return all, nil
}

// model is a log as it should be: a list of batches.
type model struct {
	start   int64
	end     int64
	batches []record.Batch
	epochs  epochs
}

func (m *model) clone() model {
	c := *m
	c.batches, c.epochs = slices.Clone(m.batches), slices.Clone(m.epochs)
	return c
}

func (m *model) append(b record.Batch) {
	m.batches = append(m.batches, b)
	m.end = b.NextOffset()
	m.epochs, _ = m.epochs.assign(cluster.Epoch(b.LeaderEpoch()), b.BaseOffset())
}

func (m *model) truncate(offset int64) {
	n := len(m.batches)
	for n > 0 && m.batches[n-1].NextOffset() > offset {
		n--
		m.end = m.batches[n].BaseOffset()
	}
	m.batches = m.batches[:n:n]
	m.epochs = m.epochs.truncate(m.end)
	if m.end <= m.start {
		m.reset(m.end)
	}
}

func (m *model) reset(start int64) { *m = model{start: start, end: start} }

func (m *model) advance(start int64) {
	if start = min(start, m.end); start <= m.start {
		return
	}
	m.start = start
	m.epochs = m.epochs.advance(start)
	n := 0
	for n < len(m.batches) && m.batches[n].NextOffset() <= start {
		n++
	}
	m.batches = m.batches[n:]
}

// compare checks everything that a log says against the model.
func (m *model) compare(l *Log) error {
	if l.StartOffset() != m.start || l.EndOffset() != m.end {
		return fmt.Errorf("log spans [%d, %d), want [%d, %d)", l.StartOffset(), l.EndOffset(), m.start, m.end)
	}
	got, err := readAll(l)
	if err != nil {
		return err
	}
	var want []byte
	for _, b := range m.batches {
		want = append(want, b...)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("log holds %d bytes, want %d, or others", len(got), len(want))
	}
	if got, want := fmt.Sprint(l.Epochs()), fmt.Sprint([]EpochStart(m.epochs)); got != want {
		return fmt.Errorf("epochs %s, want %s", got, want)
	}
	if n := len(m.batches); n > 0 {
		last := m.batches[n-1]
		if e, crc, ok := l.Last(); !ok || e != cluster.Epoch(last.LeaderEpoch()) || crc != last.CRC() {
			return fmt.Errorf("last batch is %d, %08x, %v; want %d, %08x", e, crc, ok, last.LeaderEpoch(), last.CRC())
		}
	}
	return m.comparePreceding(l)
}

func (m *model) comparePreceding(l *Log) error {
	for i, b := range m.batches {
		e, crc, ok, err := l.Preceding(b.NextOffset())
		if err != nil {
			return err
		}
		if !ok || e != cluster.Epoch(b.LeaderEpoch()) || crc != b.CRC() {
			return fmt.Errorf("batch %d before %d: %d, %08x, %v; want %d, %08x", i, b.NextOffset(), e, crc, ok, b.LeaderEpoch(), b.CRC())
		}
		_, _, ok, err = l.Preceding(b.NextOffset() - 1)
		if err != nil {
			return err
		}
		if ok && b.Records() > 1 {
			return fmt.Errorf("found a batch that ends at %d", b.NextOffset()-1)
		}
	}
	return nil
}

func isStopped(err error) bool { return errors.Is(err, vfs.ErrStopped) }
