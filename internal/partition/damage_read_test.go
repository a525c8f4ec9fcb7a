package partition

import (
	"slices"
	"strings"
	"testing"

	"github.com/chronik-project/chronik/internal/vfs"
)

// TestRecoveryCannotRead fails each read, open, look and listing of a recovery.
// It ends with that error, or gives replicas up; and it has
// destroyed nothing: the next one, on a disk that works, finds everything.
func TestRecoveryCannotRead(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	for _, op := range []vfs.Op{vfs.OpOpen, vfs.OpRead, vfs.OpStat, vfs.OpList} {
		for skip := 0; ; skip++ {
			disk := v.files.disk(t, "", nil)
			fault := vfs.NewFault(disk)
			fault.Inject(vfs.Rule{Op: op, Skip: skip, Times: 1, Err: errDisk})
			hit := ""
			fault.Watch(func(_ vfs.Op, path string, failed error) {
				if failed != nil {
					hit = path
				}
			})
			log, _, report, err := openTable(fault)
			if hit == "" {
				break
			}
			if err == nil {
				err = log.Close()
			}
			if err != nil && !strings.Contains(err.Error(), errDisk.Error()) {
				t.Errorf("operation %d of kind %d, on %s: %v", skip, op, hit, err)
			}
			if report.Corrupt || slices.ContainsFunc(v.ledgers, func(l *ledger) bool { return slices.Contains(report.Failed, l.tp) }) {
				continue // given up: it has been put aside
			}
			if got, err := v.examine(disk); err != nil || got != harmless {
				t.Errorf("operation %d of kind %d, on %s: then %s, %v", skip, op, hit, got, err)
			}
		}
	}
}
