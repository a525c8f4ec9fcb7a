package partition

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/chronik-project/chronik/internal/cluster"
)

// asides are the names, by partition, of the directories that failed replicas
// left (see setAside). They are for the operator to look at, one of each replica
// at most, and go when the replica is in sync again.
type asides map[cluster.TopicPartition][]string

// asideOf reads the name of such a directory.
func asideOf(topic cluster.UUID, name string) (tp cluster.TopicPartition, ok bool) {
	number, _, ok := strings.Cut(name, failureSuffix+"-")
	n, err := strconv.ParseInt(number, 10, 32)
	return cluster.TopicPartition{TopicID: topic, Partition: int32(n)}, ok && err == nil && n >= 0
}

func (a asides) add(tp cluster.TopicPartition, name string) {
	if !slices.Contains(a[tp], name) {
		a[tp] = append(a[tp], name)
	}
}

// sweep removes what is of no use any more. The image knows this broker.
func (t *Table) sweep() {
	for tp, names := range t.asides {
		slices.Sort(names) // by age: nanoseconds have as many digits until 2286
		useless := names[:len(names)-1]
		if t.whole(tp) || t.LowSpace() && t.served(tp) {
			useless = names
		}
		for _, name := range useless {
			dir := filepath.Join(t.topicsDir(), tp.TopicID.String(), name)
			if err := t.o.FS.RemoveAll(dir); err != nil {
				t.o.Logger.Warn("remove what a failed replica left", slog.String("directory", dir), slog.Any("error", err))
				continue
			}
			t.o.Logger.Info("removed what a failed replica left", slog.String("directory", dir))
			t.asides[tp] = slices.DeleteFunc(slices.Clone(t.asides[tp]), func(s string) bool { return s == name })
		}
		if len(t.asides[tp]) == 0 {
			delete(t.asides, tp)
		}
	}
}

// served reports whether another broker has the partition, and this one could
// have it too if there were room.
func (t *Table) served(tp cluster.TopicPartition) bool {
	img, _ := t.image()
	_, p, ok := img.Partition(tp)
	return ok && p.Leader != cluster.NoBroker
}

// whole reports whether the partition's replica was made whole again, or is not
// placed here any more.
func (t *Table) whole(tp cluster.TopicPartition) bool {
	r, ok := t.Get(tp)
	if !ok {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed == "" && r.meta.part != nil && r.meta.part.InISR(t.o.Self)
}
