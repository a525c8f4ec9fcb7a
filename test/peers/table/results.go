package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
)

// Machine is what was measured on, and with what.
type Machine struct {
	Date       string            `json:"date"`
	CPU        string            `json:"cpu"`
	Cores      int               `json:"cores"`
	MemoryGiB  int               `json:"memory_gib"`
	Kernel     string            `json:"kernel"`
	Filesystem string            `json:"filesystem"` // of the data directories
	Load       float64           `json:"load"`       // processes that wanted a core in the minute before
	Versions   map[string]string `json:"versions"`
	Settings   map[string]string `json:"settings"` // of the clusters and the run
}

// same says whether figures of both belong in one table. The date and the load
// may differ.
func (m Machine) same(other Machine) bool {
	return m.CPU == other.CPU && m.Cores == other.Cores && m.Kernel == other.Kernel && m.Filesystem == other.Filesystem &&
		maps.Equal(m.Versions, other.Versions) && maps.Equal(m.Settings, other.Settings)
}

// line is one line of a results file: one field is set.
type line struct {
	Machine *Machine `json:"machine,omitempty"`
	Step    string   `json:"step,omitempty"` // of Row
	Row     *Row     `json:"row,omitempty"`
	Done    string   `json:"done,omitempty"` // a step, all rows of which are above
}

// Results are the rows of a run by step. It is not safe for concurrent use.
type Results struct {
	file  *os.File // nil: kept in memory only
	lines []line
	done  map[string]bool
}

// ErrOther is the cause when a file holds results of another machine, version or
// setting.
var ErrOther = errors.New("the results there are of another machine, version or setting")

// Open starts a results file, or goes on with one: steps of it that are done stay
// done. Without a path results are kept in memory.
func Open(path string, machine Machine, resume bool) (*Results, error) {
	r := &Results{done: map[string]bool{}}
	if path == "" {
		return r, r.write(line{Machine: &machine})
	}
	if resume {
		machines, err := r.load(path)
		if err != nil {
			return nil, err
		}
		if machines != nil && !machines.same(machine) {
			return nil, fmt.Errorf("%s: %w", path, ErrOther)
		}
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	r.file = file
	kept := r.lines
	r.lines = nil
	for _, l := range append([]line{{Machine: &machine}}, kept...) {
		if err := r.write(l); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return r, nil
}

// Read returns what a results file holds.
func Read(path string) (Machine, []Row, error) {
	r := &Results{done: map[string]bool{}}
	machine, err := r.load(path)
	if err != nil {
		return Machine{}, nil, err
	}
	if machine == nil {
		return Machine{}, nil, fmt.Errorf("%s: no results", path)
	}
	return *machine, r.Rows(), nil
}

// load keeps the lines of steps that are done and returns the machine, or nil if
// there is no file.
func (r *Results) load(path string) (*Machine, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var machine *Machine
	for text := range bytes.Lines(text) {
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			continue // the last line of a run that was killed
		}
		switch {
		case l.Machine != nil:
			machine = l.Machine
		case l.Done != "":
			r.done[l.Done] = true
			r.lines = append(r.lines, l)
		default:
			r.lines = append(r.lines, l)
		}
	}
	r.lines = slices.DeleteFunc(r.lines, func(l line) bool { return l.Row != nil && !r.done[l.Step] })
	return machine, nil
}

func (r *Results) write(l line) error {
	r.lines = append(r.lines, l)
	if r.file == nil {
		return nil
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = r.file.Write(append(text, '\n'))
	return err
}

// Add decides a row and keeps it.
func (r *Results) Add(step string, row Row) (Row, error) {
	row.Decide()
	return row, r.write(line{Step: step, Row: &row})
}

// Done notes that all rows of a step are there.
func (r *Results) Done(step string) error {
	r.done[step] = true
	return r.write(line{Done: step})
}

// IsDone says whether a step needs not be run again.
func (r *Results) IsDone(step string) bool { return r.done[step] }

// Rows returns all rows, in the order they were added.
func (r *Results) Rows() []Row {
	var rows []Row
	for _, l := range r.lines {
		if l.Row != nil {
			rows = append(rows, *l.Row)
		}
	}
	return rows
}

// Close closes the file.
func (r *Results) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
