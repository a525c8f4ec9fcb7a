package bench

import (
	"testing"

	"github.com/spf13/pflag"
)

func TestFlagValues(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		value pflag.Value
		text  string
		want  string // empty: refused
	}{
		{name: "plain rate", value: new(rateValue), text: "1000", want: "1000"},
		{name: "thousands", value: new(rateValue), text: "20k", want: "20000"},
		{name: "with its unit", value: new(rateValue), text: "1.5M/s", want: "1500000"},
		{name: "less than one", value: new(rateValue), text: "0.5", want: "0.5"},
		{name: "no rate", value: new(rateValue), text: "0"},
		{name: "negative rate", value: new(rateValue), text: "-5"},
		{name: "endless rate", value: new(rateValue), text: "Inf"},
		{name: "a word", value: new(rateValue), text: "fast"},
		{name: "count", value: new(countValue), text: "2M", want: "2000000"},
		{name: "half a record", value: new(countValue), text: "0.5"},
		{name: "bytes", value: new(bytesValue), text: "100", want: "100"},
		{name: "binary", value: new(bytesValue), text: "1KiB", want: "1024"},
		{name: "decimal", value: new(bytesValue), text: "64KB", want: "64000"},
		{name: "spelt out", value: new(bytesValue), text: "100B", want: "100"},
		{name: "mebibytes", value: new(bytesValue), text: "1MiB", want: "1048576"},
		{name: "more than an array holds", value: new(bytesValue), text: "5000MB"},
		{name: "which k", value: new(bytesValue), text: "1k"},
		{name: "nothing", value: new(bytesValue), text: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.value.Set(tt.text)
			if (err == nil) != (tt.want != "") {
				t.Fatalf("Set(%q) is %v", tt.text, err)
			}
			if err == nil && tt.value.String() != tt.want {
				t.Errorf("Set(%q) gives %s, want %s", tt.text, tt.value, tt.want)
			}
		})
	}
}
