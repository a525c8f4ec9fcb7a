package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	engine "github.com/chronik-project/chronik/internal/bench"
	"github.com/chronik-project/chronik/internal/bench/page"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// reserveBundle makes the directory that a run will be saved in, before the run:
// what takes minutes must not end with a directory that cannot be written.
func reserveBundle(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return exit.Usagef("", "--out: %w", err)
	case len(entries) > 0:
		return exit.Usagef("choose another one: a result is never overwritten", "--out: %s is not empty", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return exit.Usagef("", "--out: %w", err)
	}
	return nil
}

// saveBundle writes one run: the result as -o json prints it, histograms that
// HdrHistogram's tools open, the page, the events, and a script that runs the
// same again.
func saveBundle(dir string, r *out.Result, report *engine.Report, command func(seed string) string) error {
	if dir == "" {
		return nil
	}
	return errors.Join(
		saveResult(dir, r), saveHistograms(dir, report), savePage(filepath.Join(dir, pageFile), report), saveEvents(dir, report),
		save(filepath.Join(dir, "repro.sh"), func(w io.Writer) error { return writeRepro(w, command(deref(report.Settings.Seed))) }),
		os.Chmod(filepath.Join(dir, "repro.sh"), 0o755), //nolint:gosec // a script is to be run
	)
}

// saveFailover writes one failover in the same way.
func saveFailover(dir string, r *out.Result, report *engine.FailoverReport, command func(seed string) string) error {
	if dir == "" {
		return nil
	}
	return errors.Join(
		saveResult(dir, r), saveHistograms(dir, report.Load()), saveEvents(dir, report.Load()),
		save(filepath.Join(dir, pageFile), func(w io.Writer) error { return page.WriteFailover(w, report) }),
		save(filepath.Join(dir, "repro.sh"), func(w io.Writer) error { return writeAgain(w, command(deref(report.Settings.Seed))) }),
		os.Chmod(filepath.Join(dir, "repro.sh"), 0o755), //nolint:gosec // a script is to be run
	)
}

// pageFile is the page for people in a saved run.
const pageFile = "report.html"

func savePage(path string, report *engine.Report) error {
	return save(path, func(w io.Writer) error { return page.Write(w, report) })
}

// saveEvents writes one event a line.
func saveEvents(dir string, report *engine.Report) error {
	return save(filepath.Join(dir, "events.jsonl"), func(w io.Writer) error {
		lines := json.NewEncoder(w)
		for _, e := range report.Events {
			if err := lines.Encode(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// saveSweep writes the result of all rates, and the histograms of each in a
// directory of its own.
func saveSweep(dir string, r *out.Result, report *engine.SweepReport) error {
	if dir == "" {
		return nil
	}
	if err := saveResult(dir, r); err != nil {
		return err
	}
	for i, s := range report.Steps {
		step := filepath.Join(dir, fmt.Sprintf("%02d-%.0f", i+1, s.RatePerSecond))
		if err := os.Mkdir(step, 0o755); err != nil {
			return err
		}
		if err := errors.Join(saveHistograms(step, s.Report), savePage(filepath.Join(step, pageFile), s.Report)); err != nil {
			return err
		}
	}
	return nil
}

func saveResult(dir string, r *out.Result) error {
	return save(filepath.Join(dir, "result.json"), func(w io.Writer) error {
		return out.Print(w, out.Options{Format: out.JSON}, r)
	})
}

func saveHistograms(dir string, report *engine.Report) error {
	if len(report.StageIntervals) > 0 {
		if err := save(filepath.Join(dir, "stages.hlog"), report.WriteStageLog); err != nil {
			return err
		}
	}
	for _, k := range engine.Kinds() {
		err := save(filepath.Join(dir, string(k)+".hlog"), func(w io.Writer) error { return report.WriteLog(w, k) })
		for _, arm := range report.Arms {
			if err == nil {
				name := fmt.Sprintf("%s-%s.hgrm", k, arm.Acks)
				err = save(filepath.Join(dir, name), func(w io.Writer) error { return report.WriteSpectrum(w, k, arm.Acks) })
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func save(path string, write func(io.Writer) error) error {
	var buf bytes.Buffer
	if err := write(&buf); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.WriteFile(path, buf.Bytes(), 0o644)
}

// savedLine says where a run was saved.
func savedLine(dir string) []string {
	if dir == "" {
		return nil
	}
	return []string{"saved      " + dir + " (result.json, *.hlog, *.hgrm, report.html)"}
}
