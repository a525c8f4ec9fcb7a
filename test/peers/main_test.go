//go:build peers

package peers

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/harness"
	"github.com/chronik-project/chronik/test/peers/table"
)

var (
	pairs       = flag.Int("pairs", 10, "turns of each arm")
	seconds     = flag.Int("seconds", 10, "measured length of a turn")
	warm        = flag.Int("warm", 60, "seconds of load before the first turn: a JVM needs a minute")
	settleFor   = flag.Duration("settle", 2*time.Second, "quiet time before each turn, in which files of the last one go away")
	resultsPath = flag.String("results", "", "file for the results, as JSON lines")
	resume      = flag.Bool("resume", false, "go on with the results that are there: steps that are done stay done")
	rawPath     = flag.String("raw", "", "directory for the histograms of every turn")
	docsPath    = flag.String("docs", "", "document to fill in from -results when the tests have run; with -run '^$' nothing else happens")
)

// turnWarmup is the seconds of load before each turn's measurement.
var turnWarmup = 3

// results is where rows go.
var results *table.Results

// began is the start of the run, for progress.
var began = time.Now()

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		short()
	}
	os.Exit(run(m))
}

// short makes a run that proves no more than that all of it works.
func short() {
	*pairs, *seconds, *warm, *settleFor = 1, 3, 1, 100*time.Millisecond
	turnWarmup = 1
}

func run(m *testing.M) int {
	status := 0
	if nothing := flag.Lookup("test.run").Value.String() == "^$"; !nothing {
		status = harness.Main(m)
	}
	if results != nil {
		if err := results.Close(); err != nil {
			status = failed(err)
		}
	}
	if *docsPath != "" {
		if err := fillIn(*docsPath); err != nil {
			status = failed(err)
		}
	}
	return status
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// fillIn writes the table and the losses into a document.
func fillIn(path string) error {
	if *resultsPath == "" {
		return errors.New("-docs needs -results")
	}
	machine, rows, err := table.Read(*resultsPath)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	document, err := table.Insert(string(text), "peers", table.Markdown(machine, rows))
	if err != nil {
		return err
	}
	if document, err = table.Insert(document, "losses", table.Losses(rows)); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(document), 0o644)
}

// progress says where a long run is.
func progress(format string, args ...any) {
	fmt.Printf("[%8s] %s\n", time.Since(began).Round(time.Second), fmt.Sprintf(format, args...))
}

// step runs a part of the comparison, unless the results have it.
func step(t *testing.T, name string, body func(t *testing.T, s steps)) {
	t.Helper()
	if results.IsDone(name) {
		progress("%s: done before", name)
		return
	}
	t.Run(name, func(t *testing.T) {
		start := time.Now()
		progress("%s", name)
		body(t, steps(name))
		if t.Failed() {
			return
		}
		if err := results.Done(name); err != nil {
			t.Fatal(err)
		}
		progress("%s: took %s", name, time.Since(start).Round(time.Second))
	})
}

// steps is the name of a step, which its rows are kept under.
type steps string

func (s steps) add(t *testing.T, row table.Row) {
	t.Helper()
	row, err := results.Add(string(s), row)
	if err != nil {
		t.Fatal(err)
	}
	if row.Void != "" {
		progress("  %s, %s against %s: void, %s", row.Name, row.Ours, row.Theirs, row.Void)
		return
	}
	progress("  %s, %s against %s: %.2f (%.2f-%.2f)", row.Name, row.Ours, row.Theirs, row.Ratio, row.RatioLow, row.RatioHigh)
}
