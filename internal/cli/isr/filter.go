package isr

import (
	"maps"
	"slices"

	"github.com/chronik-project/chronik/internal/admin"
)

// filters are the values of --only. A partition may match several: one that is
// under its minimum is under-replicated too.
var filters = map[string]func(admin.ISRPartition) bool{
	"under-replicated": admin.ISRPartition.UnderReplicated,
	"at-min-isr":       func(p admin.ISRPartition) bool { return p.State == admin.PartitionAtMinISR },
	"under-min-isr":    underMinISR,
	"offline":          func(p admin.ISRPartition) bool { return p.State == admin.PartitionOffline },
	"lagging":          admin.ISRPartition.Lagging,
	"not-ok":           func(p admin.ISRPartition) bool { return p.State != admin.PartitionOK },
}

// underMinISR holds for an offline partition too: nothing can be acked there.
func underMinISR(p admin.ISRPartition) bool {
	return p.State == admin.PartitionUnderMinISR || p.State == admin.PartitionOffline
}

func filterNames() []string { return slices.Sorted(maps.Keys(filters)) }

// keep returns the partitions that match any of the filters, or all.
func keep(partitions []admin.ISRPartition, only []string) []admin.ISRPartition {
	if len(only) == 0 {
		return partitions
	}
	kept := []admin.ISRPartition{}
	for _, p := range partitions {
		if slices.ContainsFunc(only, func(name string) bool { return filters[name](p) }) {
			kept = append(kept, p)
		}
	}
	return kept
}
