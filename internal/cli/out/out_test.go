package out_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/chronik-project/chronik/internal/cli/out"
)

type planet struct {
	Name  string  `json:"name"`
	Moons *int64  `json:"moons"`
	Mass  float64 `json:"mass"`
}

func sample() *out.Result {
	code := int16(3)
	moons := int64(1234)
	return &out.Result{
		Schema: "chronik.planets/v1",
		Data:   []planet{{"Saturn", &moons, 0.5}, {"no: a \"yaml\" trap", nil, 1}},
		Errors: []out.Failure{{Subject: `planet "Vulcan"`, Code: "UNKNOWN", KafkaCode: &code, Message: "not found", Hint: "look again"}},
		Summary: struct {
			Planets int `json:"planets"`
		}{2},
		Names:  []string{"Saturn", "trap"},
		Footer: []string{"summary: 2 planets"},
		Blocks: []out.Block{{
			Head: []string{"PLANETS"},
			Grid: out.Grid{
				Columns: []out.Column{
					{Header: "NAME", Field: "name"},
					{Header: "log_end p99", Field: "moons", Right: true},
					{Header: "MASS", Field: "mass", Right: true, Level: out.WideTSV},
					{Header: "ONLY", Field: "only", Level: out.TSVOnly},
					{Header: "SHOWN", Field: "shown", Level: out.Tables},
				},
				Rows: [][]out.Cell{
					{out.Text("Saturn"), out.OptCount(&moons).In(out.Good), out.Text("0.5"), out.Text("tsv"), out.Text("table")},
					{out.Text("tab\tand\nline"), out.OptCount(nil), out.Text(""), out.Text("tsv"), out.Text("")},
				},
			},
		}},
	}
}

func clock() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 5_000_000, time.UTC) }

func TestPrint(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		options out.Options
		want    string
	}{
		{"table", out.Options{}, "PLANETS\nNAME          log_end p99  SHOWN\nSaturn              1,234  table\ntab and line            ?  -\nsummary: 2 planets\n"},
		{"wide", out.Options{Format: out.Wide}, "PLANETS\nNAME          log_end p99  MASS  SHOWN\nSaturn              1,234   0.5  table\ntab and line            ?     -  -\nsummary: 2 planets\n"},
		{"no headers", out.Options{NoHeaders: true}, "PLANETS\nSaturn        1,234  table\ntab and line      ?  -\nsummary: 2 planets\n"},
		{"columns", out.Options{Columns: []string{"MOONS", "name"}, NoHeaders: true}, "PLANETS\n1,234  Saturn\n    ?  tab and line\nsummary: 2 planets\n"},
		{"colour keeps the width", out.Options{Color: true, NoHeaders: true}, "PLANETS\nSaturn        \x1b[32m1,234\x1b[0m  table\ntab and line      \x1b[2m?\x1b[0m  -\nsummary: 2 planets\n"},
		{"tsv", out.Options{Format: out.TSV}, "Saturn\t1234\t0.5\ttsv\ntab and line\t-\t-\ttsv\n"},
		{"tsv columns", out.Options{Format: out.TSV, Columns: []string{"only", "name"}}, "tsv\tSaturn\ntsv\ttab and line\n"},
		{"name", out.Options{Format: out.Name}, "Saturn\ntrap\n"},
		{"compact json", out.Options{Format: out.JSON, Compact: true}, `{"schema":"chronik.planets/v1","cluster_id":null,"generated_at":"2026-11-24T12:00:00.005Z",` +
			`"data":[{"name":"Saturn","moons":1234,"mass":0.5},{"name":"no: a \"yaml\" trap","moons":null,"mass":1}],` +
			`"errors":[{"subject":"planet \"Vulcan\"","code":"UNKNOWN","kafka_code":3,"message":"not found","hint":"look again"}],"summary":{"planets":2}}` + "\n"},
		{"yaml", out.Options{Format: out.YAML}, `schema: chronik.planets/v1
cluster_id: null
generated_at: "2026-11-24T12:00:00.005Z"
data:
  - name: Saturn
    moons: 1234
    mass: 0.5
  - name: 'no: a "yaml" trap'
    moons: null
    mass: 1
errors:
  - subject: planet "Vulcan"
    code: UNKNOWN
    kafka_code: 3
    message: not found
    hint: look again
summary:
  planets: 2
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.options.Now = clock
			var buf bytes.Buffer
			if err := out.Print(&buf, tc.options, sample()); err != nil {
				t.Fatal(err)
			}
			if buf.String() != tc.want {
				t.Errorf("got:\n%s\nwant:\n%s", buf.String(), tc.want)
			}
		})
	}
}

func TestEmptyResults(t *testing.T) {
	t.Parallel()
	empty := &out.Result{Schema: "chronik.planets/v1", ClusterID: "c", Data: []planet(nil), Blocks: []out.Block{{Empty: "no planets"}}}
	for _, tc := range []struct {
		name   string
		format out.Format
		want   string
	}{
		{"table", out.Table, "no planets\n"},
		{"tsv", out.TSV, ""},
		{"name", out.Name, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var buf bytes.Buffer
			if err := out.Print(&buf, out.Options{Format: tc.format}, empty); err != nil || buf.String() != tc.want {
				t.Errorf("got %q, %v; want %q", buf.String(), err, tc.want)
			}
		})
	}
	for _, format := range []out.Format{out.JSON, out.YAML} {
		var buf bytes.Buffer
		if err := out.Print(&buf, out.Options{Format: format}, empty); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		decode := json.Unmarshal
		if format == out.YAML {
			decode = yaml.Unmarshal
		}
		if err := decode(buf.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		for _, key := range []string{"data", "errors"} {
			if list, ok := got[key].([]any); !ok || len(list) != 0 {
				t.Errorf("%s: %s is %v, want an empty list", format, key, got[key])
			}
		}
		if got["cluster_id"] != "c" {
			t.Errorf("%s: cluster_id %v", format, got["cluster_id"])
		}
	}
}

func TestUnknownColumnNamesTheKnownOnes(t *testing.T) {
	t.Parallel()
	for _, format := range []out.Format{out.Table, out.TSV} {
		err := out.Print(&bytes.Buffer{}, out.Options{Format: format, Columns: []string{"rings"}}, sample())
		if _, ok := errors.AsType[*out.UnknownColumnError](err); !ok || !strings.Contains(err.Error(), "name, moons, mass") {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestParseFormat(t *testing.T) {
	t.Parallel()
	for _, name := range append(out.Formats(), "text", "JSON") {
		if _, err := out.ParseFormat(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := out.ParseFormat("xml"); err == nil || !strings.Contains(err.Error(), "want table") {
		t.Errorf("xml: %v", err)
	}
}

func TestFingerprintIgnoresTime(t *testing.T) {
	t.Parallel()
	a, err := out.Fingerprint(sample())
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := out.Fingerprint(sample()); a != b {
		t.Error("the same result has two fingerprints")
	}
	other := sample()
	other.Errors = nil
	if b, _ := out.Fingerprint(other); a == b {
		t.Error("another result has the same fingerprint")
	}
}

func TestCells(t *testing.T) {
	t.Parallel()
	n := func(v int64) *int64 { return &v }
	share := 0.834
	for _, tc := range []struct {
		name      string
		cell      out.Cell
		text, raw string
	}{
		{"count", out.Count(-1234567), "-1,234,567", "-1234567"},
		{"small count", out.Count(999), "999", "999"},
		{"bytes", out.Bytes(39_950_000), "38.1MiB", "39950000"},
		{"few bytes", out.Bytes(1023), "1023B", "1023"},
		{"very many bytes", out.Bytes(1 << 60), "1.0EiB", "1152921504606846976"},
		{"millis", out.OptMillis(n(38_200)), "38.2s", "38200"},
		{"no millis", out.OptMillis(n(0)), "0", "0"},
		{"minutes", out.OptMillis(n(252_000)), "4m12s", "252000"},
		{"hours", out.OptMillis(n(5_400_000)), "1h30m", "5400000"},
		{"days", out.OptMillis(n(604_800_000)), "7d0h", "604800000"},
		{"micros", out.OptMicros(n(214)), "0.21ms", "214"},
		{"milliseconds", out.OptMicros(n(1_700)), "1.7ms", "1700"},
		{"share", out.OptShare(&share), "83%", "0.834"},
		{"ids", out.IDs([]int32{3, 1}), "3,1", ""},
		{"no ids", out.IDs(nil), "-", ""},
		{"unknown", out.OptBytes(nil), "?", "-"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.cell.Text != tc.text || tc.cell.Raw != tc.raw {
				t.Errorf("got %q, %q; want %q, %q", tc.cell.Text, tc.cell.Raw, tc.text, tc.raw)
			}
		})
	}
}
