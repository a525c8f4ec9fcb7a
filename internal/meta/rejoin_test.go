package meta

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// TestDamagedMemberIsNoticed damages the files of a stopped voter of three, one
// at a time. When it starts again it must come to the image that the others have,
// or end with an error that says what to do; and what it says must help.
func TestDamagedMemberIsNoticed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuorum(t, 3, func(o *Options) {
			o.SnapshotEntries, o.SnapshotInterval, o.SegmentBytes = 20, time.Second, 16<<10
		})
		defer q.close()
		q.start(1, 2, 3)
		m := q.leader(1, 2, 3)
		propose(t, m, cluster.InitCluster{ClusterID: "c"})
		for id := range cluster.BrokerID(60) {
			register(t, m, id)
			if id%20 == 0 {
				wait(3 * time.Second) // for a snapshot
			}
		}
		q.leader(1, 2, 3)
		for _, id := range others(m.id) {
			sees(t, q.members[id], "the last broker", hasBroker(59))
		}
		victim := others(m.id)[0]
		wait(3 * time.Second)
		q.stop(victim)
		dir := filepath.Join(q.dir, host(victim))
		files := map[string][]byte{}
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files[path], err = os.ReadFile(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		counts := map[string]int{}
		for path, content := range files {
			for how, bad := range damages(content) {
				restore(t, dir, files, path, bad)
				verdict := q.restart(victim, m)
				counts[kindOf(path)+" "+how+": "+verdict]++
			}
		}
		for what, n := range counts {
			t.Logf("%4d %s", n, what)
		}
		// The last one that refused is told to be emptied.
		restore(t, dir, files, filepath.Join(dir, "log", metaName), nil)
		if got := q.restart(victim, m); got != "refused" {
			t.Fatalf("without its state: %s", got)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if got := q.restart(victim, m); got != "harmless" {
			t.Errorf("emptied: %s", got)
		}
	})
}

func kindOf(path string) string {
	base := filepath.Base(path)
	if strings.HasSuffix(base, ".wal") {
		return "*.wal"
	}
	return base
}

// damages are what may become of a file; nil is none.
func damages(content []byte) map[string][]byte {
	all := map[string][]byte{"removed": nil}
	if len(content) == 0 {
		return all
	}
	used := len(bytes.TrimRight(content, "\x00"))
	for i := range 4 {
		bad := bytes.Clone(content)
		at := rand.IntN(max(used, 1))
		bad[at] ^= 1 << rand.IntN(8)
		all[fmt.Sprintf("flipped (%d)", i)] = bad
	}
	all["cut"] = content[:rand.IntN(max(used, 1)):len(content)]
	return all
}

func restore(t *testing.T, dir string, files map[string][]byte, path string, bad []byte) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if name == path {
			content = bad
		}
		if content == nil && name == path {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// restart runs a member until it has what the leader has, or ends.
func (q *quorum) restart(id cluster.BrokerID, leader *member) string {
	q.t.Helper()
	q.startOne(id)
	m := q.members[id]
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		select {
		case err := <-m.done:
			delete(q.members, id)
			<-m.served
			if err == nil || !strings.Contains(err.Error(), "remove "+filepath.Join(q.dir, host(id))) {
				q.t.Errorf("ended with %v", err)
			}
			return "refused"
		default:
		}
		if m.AppliedIndex() == leader.AppliedIndex() && leader.AppliedIndex() > 0 {
			ours, err1 := m.Image().Encode()
			theirs, err2 := leader.Image().Encode()
			if err1 != nil || err2 != nil || !bytes.Equal(ours, theirs) {
				q.t.Errorf("another image at %d: %v, %v", m.AppliedIndex(), err1, err2)
			}
			q.stop(id)
			return "harmless"
		}
		wait(50 * time.Millisecond)
	}
	q.t.Errorf("broker %d is at %d, the leader at %d", id, m.AppliedIndex(), leader.AppliedIndex())
	q.stop(id)
	return "stuck"
}
