package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	engine "github.com/chronik-project/chronik/internal/bench"
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

// saveBundle writes one run: the result as -o json prints it, and histograms
// that HdrHistogram's tools open.
func saveBundle(dir string, r *out.Result, report *engine.Report) error {
	if dir == "" {
		return nil
	}
	if err := saveResult(dir, r); err != nil {
		return err
	}
	return saveHistograms(dir, report)
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
		if err := saveHistograms(step, s.Report); err != nil {
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
	return []string{"saved      " + dir + " (result.json, *.hlog, *.hgrm)"}
}
