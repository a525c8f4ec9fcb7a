package bench

import (
	"errors"
	"strings"
	"testing"
)

func number(v float64) *float64 { return &v }

func TestAssertions(t *testing.T) {
	t.Parallel()
	report := &Report{
		Arms: []ArmReport{
			{Acks: AcksAll, Offered: 1000, Errors: 2, AchievedPerSecond: 990, Response: Quantiles{Count: 998, P50: number(900), P99: number(9000)}},
			{Acks: AcksNone, Offered: 1000, Errors: 0, AchievedPerSecond: 1000, Response: Quantiles{Count: 1000, P50: number(9e9), P99: number(9e9)}},
		},
		Generator:    Generator{Valid: true},
		Verification: &Verification{Complete: true, Counts: Counts{Duplicates: 1}},
	}
	tests := []struct {
		name   string
		claims string
		broken []string
	}{
		{name: "nothing", claims: ""},
		{name: "latency of the acked arms only", claims: "p99<10ms,p50<=900us"},
		{name: "too slow", claims: "p99<8ms, p50<1ms", broken: []string{"p99<8ms"}},
		{name: "unknown is no evidence", claims: "p99.9<1h", broken: []string{"p99.9<1h"}},
		{name: "no loss", claims: "loss==0"},
		{name: "duplicates", claims: "duplicates==0", broken: []string{"duplicates==0"}},
		{name: "errors by count", claims: "errors<2", broken: []string{"errors<2"}},
		{name: "errors by share", claims: "errors<0.3%"},
		{name: "rate", claims: "rate>=995", broken: []string{"rate>=995"}},
		{name: "a punctual generator", claims: "valid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			claims, err := ParseAssertions(tt.claims)
			if err != nil {
				t.Fatal(err)
			}
			mine := *report
			var got []string
			for _, a := range mine.Assert(claims) {
				got = append(got, a.Text)
			}
			if strings.Join(got, ";") != strings.Join(tt.broken, ";") {
				t.Errorf("broken are %q, want %q: %+v", got, tt.broken, mine.Assertions)
			}
			if len(mine.Assertions) != len(claims) {
				t.Errorf("the report keeps %d of %d assertions", len(mine.Assertions), len(claims))
			}
		})
	}
}

func TestNothingIsAssertedOfWhatWasNotVerified(t *testing.T) {
	t.Parallel()
	claims, err := ParseAssertions("loss==0")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Report{{}, {Verification: &Verification{Complete: false}}} {
		if broken := r.Assert(claims); len(broken) != 1 {
			t.Errorf("%+v: loss==0 holds without evidence", r.Verification)
		}
	}
}

func TestBadAssertionsAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"p99", "p99<", "p99<10", "p42<10ms", "loss=0", "loss==0%", "rate<1ms", "p99 < ten ms", "<10ms", "p99<1.2.3ms"} {
		if _, err := ParseAssertions(text); !errors.Is(err, ErrConfig) {
			t.Errorf("%q: got %v, want ErrConfig", text, err)
		}
	}
}
