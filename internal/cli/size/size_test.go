package size_test

import (
	"testing"

	"github.com/chronik-project/chronik/internal/cli/size"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       size.Bytes
		wantErr    bool
	}{
		{"plain", "1048576", 1 << 20, false},
		{"zero", "0", 0, false},
		{"binary", "512MiB", 512 << 20, false},
		{"decimal", "64KB", 64_000, false},
		{"bytes", "100B", 100, false},
		{"fraction of a unit", "1.5KiB", 1536, false},
		{"space and case", " 2 gib ", 2 << 30, false},
		{"fraction of a byte", "0.3", 0, true},
		{"negative", "-1", 0, true},
		{"unit alone", "MiB", 0, true},
		{"unknown unit", "3XB", 0, true},
		{"too large", "9223372036854775808", 0, true},
		{"not a number", "NaN", 0, true},
		{"empty", "", 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := size.Parse(tc.text)
			if got != tc.want || (err != nil) != tc.wantErr {
				t.Errorf("Parse(%q) = %d, %v; want %d, error %v", tc.text, got, err, tc.want, tc.wantErr)
			}
		})
	}
}

func TestStringIsReadBack(t *testing.T) {
	t.Parallel()
	for _, n := range []size.Bytes{0, 1, 1000, 1536, 256 << 20, 3 << 40} {
		var again size.Bytes
		if err := again.Set(n.String()); err != nil || again != n {
			t.Errorf("%d prints as %q, which reads as %d, %v", int64(n), n.String(), int64(again), err)
		}
	}
}
