package meta

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// dropCovered deletes a log that ends before the latest snapshot does. Raft
// leaves one behind if the process ends just after it installed a leader's
// snapshot and before it cleared its log; the next entry would then leave a gap,
// which raft-wal refuses for good.
func dropCovered(logs raft.LogStore, snapshots raft.SnapshotStore) error {
	list, err := snapshots.List()
	if err != nil {
		return fmt.Errorf("list metadata snapshots: %w", err)
	}
	if len(list) == 0 {
		return nil
	}
	first, err := logs.FirstIndex()
	if err != nil {
		return fmt.Errorf("inspect metadata log: %w", err)
	}
	last, err := logs.LastIndex()
	if err != nil {
		return fmt.Errorf("inspect metadata log: %w", err)
	}
	if last == 0 || last >= list[0].Index { // the newest is first
		return nil
	}
	if err := logs.DeleteRange(first, last); err != nil {
		return fmt.Errorf("clear metadata log %d to %d below snapshot %d: %w", first, last, list[0].Index, err)
	}
	return nil
}
