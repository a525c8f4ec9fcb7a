package dev

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/devcluster"
)

func TestParseSeeds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		items []string
		want  []admin.TopicSpec
		bad   string
	}{
		{name: "none"},
		{name: "name", items: []string{"a"}, want: []admin.TopicSpec{{Name: "a"}}},
		{name: "partitions", items: []string{"a:6"}, want: []admin.TopicSpec{{Name: "a", Partitions: 6}}},
		{name: "all, twice", items: []string{"a:6:3", "b:1:1"}, want: []admin.TopicSpec{
			{Name: "a", Partitions: 6, ReplicationFactor: 3}, {Name: "b", Partitions: 1, ReplicationFactor: 1},
		}},
		{name: "no name", items: []string{":6"}, bad: "TOPIC"},
		{name: "too much", items: []string{"a:1:1:1"}, bad: "TOPIC"},
		{name: "zero", items: []string{"a:0"}, bad: `"0" is not a number from 1`},
		{name: "word", items: []string{"a:1:x"}, bad: `"x" is not a number from 1`},
		{name: "empty number", items: []string{"a:"}, bad: `"" is not a number from 1`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseSeeds(tc.items)
			if tc.bad != "" {
				if exit.Of(err) != exit.Usage || !strings.Contains(err.Error(), tc.bad) {
					t.Errorf("error %v, want %q", err, tc.bad)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}

// sampleText has lines that fall on different partitions.
func sampleText() text {
	t := text{source: "test"}
	for _, line := range strings.Split("a b c d e f g h i j k l m", " ") {
		t.lines = append(t.lines, []byte(line))
	}
	return t
}

func TestReadingFindsEveryDifference(t *testing.T) {
	t.Parallel()
	everything := func(t text) []*kgo.Record {
		var records []*kgo.Record
		for i, line := range t.lines {
			records = append(records, record(i, line))
		}
		return records
	}
	for _, tc := range []struct {
		name   string
		change func([]*kgo.Record, []bool) []*kgo.Record
		want   demoReport // the counts
		ok     bool
	}{
		{name: "as written", ok: true},
		{
			name:   "lost",
			change: func(r []*kgo.Record, _ []bool) []*kgo.Record { return append(r[:3:3], r[4:]...) },
			want:   demoReport{Lost: 1},
		},
		{
			name: "missing, but never acked",
			change: func(r []*kgo.Record, acked []bool) []*kgo.Record {
				acked[3] = false
				return append(r[:3:3], r[4:]...)
			},
			ok: true,
		},
		{
			name:   "there, but never acked",
			change: func(r []*kgo.Record, acked []bool) []*kgo.Record { acked[3] = false; return r },
			ok:     true,
		},
		{
			name:   "doubled",
			change: func(r []*kgo.Record, _ []bool) []*kgo.Record { return append(r[:1:1], r...) },
			want:   demoReport{Duplicated: 1},
		},
		{
			name:   "reordered within a partition",
			change: func(r []*kgo.Record, _ []bool) []*kgo.Record { r[0], r[6] = r[6], r[0]; return r },
			want:   demoReport{Reordered: 1},
		},
		{
			name:   "another order of partitions is no other order",
			change: func(r []*kgo.Record, _ []bool) []*kgo.Record { r[0], r[1] = r[1], r[0]; return r },
			ok:     true,
		},
		{
			name:   "changed",
			change: func(r []*kgo.Record, _ []bool) []*kgo.Record { r[5].Value = []byte("F"); return r },
			want:   demoReport{Changed: 1},
		},
		{
			name:   "on another partition",
			change: func(r []*kgo.Record, _ []bool) []*kgo.Record { r[5].Partition = 0; return r },
			want:   demoReport{Changed: 1, Lost: 1},
		},
		{
			name: "of somebody else",
			change: func(r []*kgo.Record, _ []bool) []*kgo.Record {
				return append(r, &kgo.Record{Key: []byte("k")}, record(99, nil))
			},
			want: demoReport{Changed: 2},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			source := sampleText()
			acked := make([]bool, len(source.lines))
			for i := range acked {
				acked[i] = true
			}
			records := everything(source)
			if tc.change != nil {
				records = tc.change(records, acked)
			}
			r := newReading(source)
			for _, rec := range records {
				r.add(rec)
			}
			var got demoReport
			for _, ok := range acked {
				if ok {
					got.Acked++
				}
			}
			r.conclude(acked, &got)
			counts := demoReport{Lost: got.Lost, Duplicated: got.Duplicated, Reordered: got.Reordered, Changed: got.Changed}
			if counts != tc.want || got.ok() != tc.ok {
				t.Errorf("got %+v, ok %v; want %+v, ok %v", counts, got.ok(), tc.want, tc.ok)
			}
		})
	}
}

func TestReadText(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("one\n\nthree\nfour"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readText(t.Context(), demoOptions{input: path, lines: 3})
	if err != nil || len(got.lines) != 3 || string(got.lines[0]) != "one" || len(got.lines[1]) != 0 || string(got.lines[2]) != "three" {
		t.Errorf("got %q, %v", got.lines, err)
	}
	for _, input := range []string{"/no/such/file", os.DevNull} {
		if _, err := readText(t.Context(), demoOptions{input: input, lines: 3}); exit.Of(err) != exit.Usage {
			t.Errorf("%s: %v", input, err)
		}
	}
}

func TestWithoutGoTheBuiltInTextIsRepeated(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	got, err := readText(t.Context(), demoOptions{lines: 1000})
	if err != nil || len(got.lines) != 1000 || got.source != "built-in text" {
		t.Errorf("%d lines of %q, %v", len(got.lines), got.source, err)
	}
}

func TestStartErrorShowsTheLog(t *testing.T) {
	t.Parallel()
	err := startError(&devcluster.BrokerError{Broker: devcluster.Broker{ID: 2}, Err: devcluster.ErrExited, LogTail: "first\nsecond"})
	own, ok := errors.AsType[*exit.Error](err)
	if !ok || !errors.Is(err, devcluster.ErrExited) || len(own.Details) != 3 || own.Details[2] != "second" {
		t.Errorf("got %+v", err)
	}
}
