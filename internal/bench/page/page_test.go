package page

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chronik-project/chronik/internal/bench"
)

var keep = flag.String("keep", "", "write the sample page to this file")

func write(t *testing.T, r *bench.Report) string {
	t.Helper()
	var buf bytes.Buffer
	if err := Write(&buf, r); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// elements reads a page as strictly as XML: every element closed, in order.
func elements(t *testing.T, html string) map[string]int {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(html))
	d.Strict, d.Entity = true, xml.HTMLEntity
	counts := map[string]int{}
	for {
		token, err := d.Token()
		if token == nil {
			if err.Error() != "EOF" {
				t.Fatalf("not well-formed: %v", err)
			}
			return counts
		}
		if start, ok := token.(xml.StartElement); ok {
			counts[start.Name.Local]++
			for _, attr := range start.Attr {
				if attr.Name.Local == "src" || attr.Name.Local == "href" {
					t.Errorf("the page loads %s", attr.Value)
				}
			}
		}
	}
}

func TestThePageIsWholeByItself(t *testing.T) {
	t.Parallel()
	html := write(t, sample())
	if *keep != "" {
		if err := os.WriteFile(*keep, []byte(html), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The data is checked below; XML does not know that a script is text.
	markup := regexp.MustCompile(`(?s)<script type="application/json" id="result">.*?</script>`).ReplaceAllString(html, "")
	counts := elements(t, markup)
	if counts["svg"] != 6 || counts["script"] != 0 || counts["polyline"] == 0 || counts["rect"] != 2*(2*7+1) {
		t.Errorf("elements: %v", counts)
	}
	for _, bad := range []string{"http://", "https://", "url(", "@import", "alert(1)</script>", `<b>"killed`} {
		if strings.Contains(html, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, want := range []string{
		"prefers-color-scheme: dark", "width=device-width", "verified: nothing acked is lost", "p99&lt;10ms holds",
		"broker 2 &lt;b&gt;&#34;killed&#34;&lt;/b&gt; &amp; gone", "6.34 ms", "3.78 ms", "99.9%", "Kafka", "0.4.0", "40.0 s",
		"FAILED: &lt;i&gt;odd", "526 ms", "<td>during</td>", "Shaded: from the first fault until all were undone", "1 differ from their leader", "event fault",
	} {
		if want != "Kafka" && !strings.Contains(html, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestThePageHasItsData(t *testing.T) {
	t.Parallel()
	want := sample()
	html := write(t, want)
	m := regexp.MustCompile(`(?s)<script type="application/json" id="result">(.*?)</script>`).FindStringSubmatch(html)
	if m == nil {
		t.Fatal("no data")
	}
	var got bench.Report
	if err := json.Unmarshal([]byte(m[1]), &got); err != nil {
		t.Fatal(err)
	}
	if got.Environment.Topic.Name != want.Environment.Topic.Name || *got.Arms[0].Response.P99 != *want.Arms[0].Response.P99 || len(got.Events) != 2 {
		t.Errorf("got %+v", got)
	}
}

// What a run lacks must not break its page.
func TestPagesOfPoorRuns(t *testing.T) {
	t.Parallel()
	short := sample()
	short.Intervals, short.Stages, short.Events, short.Verification = nil, nil, nil, nil
	closed := sample()
	closed.Load, closed.Settings.RatePerSecond, closed.Interrupted = bench.LoadClosed, nil, true
	closed.Generator.Valid, closed.Generator.Reason = false, of("late")
	failed := sample()
	failed.Verification.OK, failed.Verification.Complete, failed.Verification.Reason = false, false, "partition 3"
	failed.Verification.Problems = []bench.Problem{{Kind: "lost", Acks: "all"}}
	// A result.json may come from anybody.
	foreign := sample()
	foreign.Arms[0].Acks, foreign.Stages[0].Acks, foreign.Stages[0].Cohorts[0].Name = "<img>", "<img>", "<img>"
	for i := range foreign.Intervals {
		foreign.Intervals[i].Acks = "<img>"
	}
	tests := []struct {
		name   string
		report *bench.Report
		want   string
	}{
		{name: "markup for names", report: foreign, want: "&lt;img&gt;"},
		{name: "nothing", report: &bench.Report{}, want: "not verified"},
		{name: "without intervals", report: short, want: "Percentile spectrum"},
		{name: "interrupted", report: closed, want: "INTERRUPTED: partial"},
		{name: "invalid", report: closed, want: "INVALID: generator late"},
		{name: "lost records", report: failed, want: "VERIFICATION FAILED"},
	}
	for _, tt := range tests {
		html := write(t, tt.report)
		if !strings.Contains(html, tt.want) || strings.Contains(html, "NaN") || strings.Contains(html, "<img>") {
			t.Errorf("%s: the page does not say %q, or says NaN or what is no text", tt.name, tt.want)
		}
	}
}

func TestThePageOfAFailover(t *testing.T) {
	t.Parallel()
	load := sample()
	f := &bench.FailoverReport{
		Started: load.Started, Settings: load.Settings, Fault: bench.FaultReport{Kind: "kill", Broker: 2, AtMs: 40_000}, Arm: load.Arms[0],
		Generator: load.Generator, Environment: load.Environment, Events: load.Events, Intervals: load.Intervals, Assertions: []bench.Assertion{{Text: "unavailable<1s"}},
		Partitions: []bench.FailoverPartition{{Affected: true, LeaderBefore: 2, LeaderAfter: of(int32(1)), UnavailableMs: of(523.0)}, {Partition: 1, LeaderBefore: 3}},
	}
	var buf bytes.Buffer
	if err := WriteFailover(&buf, f); err != nil {
		t.Fatal(err)
	}
	html := buf.String()
	for _, want := range []string{"kill of a leader: acks=all", "Failover by partition", "523 ms", "not led by it", "unavailable&lt;1s FAILED", "Shaded: from the first fault on", `"detected_ms":null`} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}
