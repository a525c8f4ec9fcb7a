// Package out prints the one result of a command in the format the user asked
// for. A command builds a Result, in pure code, and hands it over; what it
// looks like as a table, JSON, YAML, TSV or names is decided here and nowhere
// else, so that every command has every format.
//
// Text may change between releases. The envelope, its rows and the TSV columns
// are a contract: fields are only ever added.
package out

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Format is how a result is printed.
type Format string

// The formats of -o.
const (
	Table Format = "table" // aligned columns for people
	Wide  Format = "wide"  // the same with every column
	JSON  Format = "json"  // the envelope, one object
	YAML  Format = "yaml"  // the same object
	TSV   Format = "tsv"   // machine values, tab-separated, no header
	Name  Format = "name"  // one name a line
)

// Formats lists what -o accepts.
func Formats() []string {
	return []string{string(Table), string(Wide), string(JSON), string(YAML), string(TSV), string(Name)}
}

// ParseFormat reads the value of -o. "text" is what rpk calls a table.
func ParseFormat(s string) (Format, error) {
	s = strings.ToLower(s)
	if s == "text" {
		return Table, nil
	}
	if !slices.Contains(Formats(), s) {
		return "", fmt.Errorf("unknown output format %q: want %s", s, strings.Join(Formats(), ", "))
	}
	return Format(s), nil
}

// Structured reports whether the format is the envelope.
func (f Format) Structured() bool { return f == JSON || f == YAML }

// Human reports whether the format is meant for people.
func (f Format) Human() bool { return f == Table || f == Wide }

// Options say how to print.
type Options struct {
	// Format is the default Table when empty.
	Format Format
	// Columns selects and orders columns by field name or header; empty means
	// those that belong to the format.
	Columns []string
	// NoHeaders leaves out the header line of tables.
	NoHeaders bool
	// Color allows ANSI colours.
	Color bool
	// Compact prints the JSON envelope on one line (NDJSON when repeated).
	Compact bool
	// Now stamps the envelope. The default is time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.Format == "" {
		o.Format = Table
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Result is what a command found or did, ready for every format.
type Result struct {
	// Schema names the shape of Data, such as "chronik.isr.show/v1".
	Schema string
	// ClusterID is the cluster that answered; empty means not known.
	ClusterID string
	// Data is a slice of rows with JSON tags.
	Data any
	// Errors are the items that failed, beside those in Data.
	Errors []Failure
	// Summary is a struct of totals; nil means none.
	Summary any
	// Blocks are the human form: one table, or several with a heading each.
	Blocks []Block
	// Footer is printed below the tables.
	Footer []string
	// Names is the -o name form.
	Names []string
	// Notes say how the result came to be, such as what is missing from it;
	// the caller prints them on stderr.
	Notes []string
}

// Block is one table with the lines above it.
type Block struct {
	Head  []string
	Grid  Grid
	Prose []string // printed instead of the table; the grid is then for TSV alone
	Empty string   // printed instead of a table without rows
}

// Failure is one item that failed, as the envelope carries it.
type Failure struct {
	// Subject is what it is about: topic "orders", broker 3.
	Subject string `json:"subject"`
	// Code is the Kafka error name, or a word of chronik's own such as
	// UNREACHABLE.
	Code string `json:"code"`
	// KafkaCode is the number on the wire; null when there was none.
	KafkaCode *int16 `json:"kafka_code"`
	// Message says why.
	Message string `json:"message"`
	// Hint says what to do next.
	Hint string `json:"hint,omitempty"`
}

// String returns the line that people read.
func (f Failure) String() string {
	var b strings.Builder
	if f.Subject != "" {
		b.WriteString(f.Subject + ": ")
	}
	switch {
	case f.KafkaCode != nil:
		fmt.Fprintf(&b, "%s (%d)", f.Code, *f.KafkaCode)
		if f.Message != "" {
			b.WriteString(": " + f.Message)
		}
	case f.Message != "":
		b.WriteString(f.Message)
	default:
		b.WriteString(f.Code)
	}
	return b.String()
}

// Print writes r to w.
func Print(w io.Writer, o Options, r *Result) error {
	o = o.withDefaults()
	switch o.Format {
	case JSON:
		return printJSON(w, o, r)
	case YAML:
		return printYAML(w, o, r)
	case TSV:
		return printTSV(w, o, r)
	case Name:
		return printLines(w, r.Names)
	case Table, Wide:
		return printTables(w, o, r)
	default:
		return fmt.Errorf("unknown output format %q", o.Format)
	}
}

func printLines(w io.Writer, lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
