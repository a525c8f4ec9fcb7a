package compare

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/chronik-project/chronik/internal/bench"
)

// Side is the runs of one thing that is compared: a release, a setting.
type Side struct {
	Name string
	Runs []Run
}

// Run is one saved run.
type Run struct {
	Dir    string
	Report *bench.Report
}

// Load reads one side: a directory of a saved run, one that holds several of
// them, or several directories with commas between them.
func Load(arg string) (Side, error) {
	side := Side{Name: strings.TrimRight(arg, "/")}
	for dir := range strings.SplitSeq(arg, ",") {
		dirs, err := runDirs(dir)
		if err != nil {
			return side, err
		}
		for _, dir := range dirs {
			report, err := bench.ReadSaved(dir)
			if err != nil {
				return side, err
			}
			side.Runs = append(side.Runs, Run{Dir: dir, Report: report})
		}
	}
	return side, nil
}

// runDirs returns dir, or the saved runs in it.
func runDirs(dir string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(dir, "result.json")); !errors.Is(err, fs.ErrNotExist) {
		return []string{dir}, err
	}
	found, err := filepath.Glob(filepath.Join(escape(dir), "*", "result.json"))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("%w: %w", bench.ErrSaved, err)
		}
		return nil, fmt.Errorf("%w: %s has no result.json, nor has a directory in it", bench.ErrSaved, dir)
	}
	for i := range found {
		found[i] = filepath.Dir(found[i])
	}
	return found, nil
}

// escape keeps the characters of a name from being a pattern.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// arms lists the acks settings that every run of the side has, in the order of
// its first.
func (s Side) arms() []bench.Arm {
	var arms []bench.Arm
	for _, arm := range s.Runs[0].Report.Arms {
		everywhere := true
		for _, run := range s.Runs {
			everywhere = everywhere && run.find(arm.Acks) != nil
		}
		if everywhere {
			arms = append(arms, arm.Acks)
		}
	}
	return arms
}

func (r Run) find(arm bench.Arm) *bench.ArmReport {
	for i := range r.Report.Arms {
		if r.Report.Arms[i].Acks == arm {
			return &r.Report.Arms[i]
		}
	}
	return nil
}

// sameWay refuses to compare times to the ack with times to the consumer.
func sameWay(sides []Side) error {
	ends := map[bool]string{}
	for _, side := range sides {
		for _, run := range side.Runs {
			if arms := run.Report.Arms; len(arms) > 0 {
				ends[arms[0].LatencyOf == bench.LatencyOfConsumption] = run.Dir
			}
		}
	}
	if len(ends) > 1 {
		return fmt.Errorf("%w: %s is from produce to consume, and %s to the ack", ErrNothing, ends[true], ends[false])
	}
	return nil
}
