package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Class is a kind of file in a data directory, docs/formats/data-dir.md.
type Class string

// The classes.
const (
	WAL          Class = "write-ahead log"
	SegmentLog   Class = "segment"
	SegmentIndex Class = "segment index"
	Producers    Class = "producers snapshot"
	Checkpoint   Class = "checkpoint"
	MetaLog      Class = "metadata log"
	MetaStore    Class = "metadata store" // vote, term and the list of log files
	MetaSnapshot Class = "metadata snapshot"
	Identity     Class = "meta.json"
)

// Classes are all of them.
var Classes = []Class{WAL, SegmentLog, SegmentIndex, Producers, Checkpoint, MetaLog, MetaStore, MetaSnapshot, Identity}

// patterns are where the files of a class are.
var patterns = map[Class]string{
	WAL:          "wal/*.wal",
	SegmentLog:   "topics/*/*/*.log",
	SegmentIndex: "topics/*/*/*.index",
	Producers:    "topics/*/*/producers.snapshot",
	Checkpoint:   "checkpoint",
	MetaLog:      "raft/log/*.wal",
	MetaStore:    "raft/log/state",
	MetaSnapshot: "raft/snapshots/*/*",
	Identity:     "meta.json",
}

// ErrNothingThere says that a data directory has no file of a class, or none
// with anything in it.
var ErrNothingThere = errors.New("nothing there to damage")

// Files are the files of a class in a data directory, sorted. Those of replicas
// that the broker has moved aside are not among them.
func Files(dir string, c Class) ([]string, error) {
	pattern, ok := patterns[c]
	if !ok {
		return nil, fmt.Errorf("no class of files %q", c)
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(files, func(name string) bool {
		return strings.Contains(filepath.Dir(name), ".failed")
	}), nil
}

// Copies are the contents of files at a moment.
type Copies map[string][]byte

// Keep copies the files of a class, to bring some of them back later.
func Keep(dir string, c Class) (Copies, error) {
	files, err := Files(dir, c)
	if err != nil {
		return nil, err
	}
	kept := Copies{}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		kept[name] = content
	}
	return kept, nil
}

// Restore brings the old content of a file back, over a newer one or none.
func (c Copies) Restore(name string) error {
	content, ok := c[name]
	if !ok {
		return fmt.Errorf("no copy of %s was kept", name)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, content, 0o644)
}

// stale are the kept files that have another content now, or are gone.
func (c Copies) stale() ([]string, error) {
	var names []string
	for name, old := range c {
		now, err := os.ReadFile(name)
		switch {
		case errors.Is(err, os.ErrNotExist) || err == nil && string(now) != string(old):
			names = append(names, name)
		case err != nil:
			return nil, err
		}
	}
	slices.Sort(names)
	return names, nil
}
