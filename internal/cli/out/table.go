package out

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

func printTables(w io.Writer, o Options, r *Result) error {
	var buf bytes.Buffer
	for i, block := range r.Blocks {
		if i > 0 {
			buf.WriteByte('\n')
		}
		for _, line := range block.Head {
			fmt.Fprintln(&buf, line)
		}
		var err error
		switch {
		case len(block.Prose) > 0 && len(o.Columns) == 0:
			err = printLines(&buf, block.Prose)
		case len(block.Grid.Rows) > 0:
			err = renderGrid(&buf, o, block.Grid)
		case block.Empty != "":
			_, err = fmt.Fprintln(&buf, block.Empty)
		}
		if err != nil {
			return err
		}
	}
	for _, line := range r.Footer {
		fmt.Fprintln(&buf, line)
	}
	_, err := w.Write(buf.Bytes())
	return err
}

// renderGrid prints columns two spaces apart, without lines: what is left is
// easy to read, to grep and to cut.
func renderGrid(w io.Writer, o Options, g Grid) error {
	chosen, err := choose(o, g)
	if err != nil {
		return err
	}
	header := make([]any, len(chosen))
	align := make([]tw.Align, len(chosen))
	for i, c := range chosen {
		header[i] = g.Columns[c].Header
		align[i] = tw.AlignLeft
		if g.Columns[c].Right {
			align[i] = tw.AlignRight
		}
	}
	var buf bytes.Buffer
	t := newTable(&buf, align)
	if !o.NoHeaders {
		t.Header(header...)
	}
	for _, row := range g.Rows {
		cells := make([]any, len(chosen))
		for i, c := range chosen {
			cells[i] = paint(o.Color, row[c])
		}
		if err := t.Append(cells...); err != nil {
			return fmt.Errorf("lay out table: %w", err)
		}
	}
	if err := t.Render(); err != nil {
		return fmt.Errorf("lay out table: %w", err)
	}
	for line := range strings.Lines(buf.String()) {
		// The padding of the last column is noise in a terminal and in diffs.
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

func newTable(w io.Writer, align []tw.Align) *tablewriter.Table {
	gap := tw.CellPadding{Global: tw.Padding{Left: "", Right: "  ", Overwrite: true}}
	return tablewriter.NewTable(w,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Symbols:  tw.NewSymbols(tw.StyleNone),
			Settings: tw.Settings{Lines: tw.LinesNone, Separators: tw.SeparatorsNone},
		})),
		tablewriter.WithConfig(tablewriter.Config{
			Header: tw.CellConfig{
				// AutoFormat would turn log_end into "LOG END" and p99 into "P 99".
				Formatting: tw.CellFormatting{AutoFormat: tw.Off, AutoWrap: tw.WrapNone},
				Alignment:  tw.CellAlignment{Global: tw.AlignLeft, PerColumn: align},
				Padding:    gap,
			},
			Row: tw.CellConfig{
				Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone},
				Alignment:  tw.CellAlignment{PerColumn: align},
				Padding:    gap,
			},
		}))
}

// choose returns the indexes of the columns to print.
func choose(o Options, g Grid) ([]int, error) {
	var chosen []int
	if len(o.Columns) == 0 {
		for i, c := range g.Columns {
			if c.Level.in(o.Format) {
				chosen = append(chosen, i)
			}
		}
		return chosen, nil
	}
	for _, want := range o.Columns {
		i := find(g.Columns, want)
		if i < 0 {
			return nil, &UnknownColumnError{Column: want, Known: fields(g.Columns)}
		}
		chosen = append(chosen, i)
	}
	return chosen, nil
}

// in reports whether columns of the level appear in a format by themselves.
func (l Level) in(f Format) bool {
	switch l {
	case WideTSV:
		return f == Wide || f == TSV
	case TSVOnly:
		return f == TSV
	case Tables:
		return f != TSV
	case Always:
	}
	return true
}

// UnknownColumnError is a --columns value that the result does not have.
type UnknownColumnError struct {
	Column string
	Known  []string
}

// Error names the columns there are.
func (e *UnknownColumnError) Error() string {
	return fmt.Sprintf("unknown column %q: want any of %s", e.Column, strings.Join(e.Known, ", "))
}

func find(columns []Column, want string) int {
	for i, c := range columns {
		if strings.EqualFold(c.Field, want) || strings.EqualFold(c.Header, want) {
			return i
		}
	}
	return -1
}

func fields(columns []Column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Field
	}
	return names
}

func paint(color bool, c Cell) string {
	text := c.Text
	if text == "" {
		text = "-"
	}
	if !color {
		return text
	}
	switch c.Tone {
	case Good:
		return "\x1b[32m" + text + "\x1b[0m"
	case Warn:
		return "\x1b[33m" + text + "\x1b[0m"
	case Bad:
		return "\x1b[31m" + text + "\x1b[0m"
	case Dim:
		return "\x1b[2m" + text + "\x1b[0m"
	case Plain:
	}
	return text
}

// printTSV writes machine values of every block, without a header: what a
// script cuts by position stays at that position.
func printTSV(w io.Writer, o Options, r *Result) error {
	var buf bytes.Buffer
	for _, block := range r.Blocks {
		chosen, err := choose(o, block.Grid)
		if err != nil {
			return err
		}
		for _, row := range block.Grid.Rows {
			for i, c := range chosen {
				if i > 0 {
					buf.WriteByte('\t')
				}
				buf.WriteString(row[c].raw())
			}
			buf.WriteByte('\n')
		}
	}
	_, err := w.Write(buf.Bytes())
	return err
}
