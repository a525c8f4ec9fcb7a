package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// ErrSaved is the cause of every error about a directory that is not, or no
// longer, a saved run.
var ErrSaved = errors.New("not a saved run of acks-all or e2e")

// The schemas of a result.json that ReadSaved takes.
const (
	SavedSchema = "chronik.bench.acks-all/v1"
	SavedE2E    = "chronik.bench.e2e/v1" // of which it reads what is a Report
)

// ReadSaved reads a run back from the directory it was saved in, with its
// intervals.
func ReadSaved(dir string) (*Report, error) {
	p, err := os.ReadFile(filepath.Join(dir, "result.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no result.json", ErrSaved, dir)
	} else if err != nil {
		return nil, err
	}
	var saved struct {
		Schema string          `json:"schema"`
		Data   json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(p, &saved); err != nil {
		return nil, fmt.Errorf("%w: %s: result.json: %w", ErrSaved, dir, err)
	}
	if saved.Schema != SavedSchema && saved.Schema != SavedE2E {
		return nil, fmt.Errorf("%w: %s: result.json has schema %q, want %s or %s", ErrSaved, dir, saved.Schema, SavedSchema, SavedE2E)
	}
	report := &Report{}
	if err := json.Unmarshal(saved.Data, report); err != nil {
		return nil, fmt.Errorf("%w: %s: result.json: %w", ErrSaved, dir, err)
	}
	for _, k := range Kinds() {
		if err := report.readLogFile(filepath.Join(dir, string(k)+".hlog"), k); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrSaved, dir, err)
		}
	}
	return report, nil
}

func (r *Report) readLogFile(path string, k Kind) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	if err := r.ReadLog(f, k); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return nil
}

// ReadLog reads what WriteLog wrote. The first kind that is read makes the
// intervals; another one must have the same.
func (r *Report) ReadLog(in io.Reader, k Kind) error {
	log := hdrhistogram.NewHistogramLogReader(in)
	fresh := len(r.Intervals) == 0
	for i := 0; ; i++ {
		h, err := log.NextIntervalHistogram()
		if err != nil {
			return err
		}
		if h == nil {
			if i != len(r.Intervals) {
				return fmt.Errorf("%d intervals, the other logs have %d", i, len(r.Intervals))
			}
			return nil
		}
		if fresh {
			iv := newInterval(time.UnixMilli(h.StartTimeMs()), time.UnixMilli(h.EndTimeMs()))
			iv.Acks = Arm(h.Tag())
			r.Intervals = append(r.Intervals, *iv)
		}
		if i >= len(r.Intervals) || r.Intervals[i].Acks != Arm(h.Tag()) {
			return fmt.Errorf("interval %d is in no other log", i+1)
		}
		into := r.Intervals[i].of(k)
		if dropped := into.MergeFrom(h); dropped > 0 {
			return fmt.Errorf("interval %d has %d times beyond %s", i+1, dropped, histogramMax)
		}
		into.Compact()
	}
}
