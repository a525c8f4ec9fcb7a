// Package disk makes disks that fail, for the data directories of brokers:
//
//	[Ext4]     a real ext4 on a loop device. It loses power and its journal is
//	           replayed, it is filled up to its last bytes, it is slowed down
//	[Tmpfs]    a small disk in memory, to fill
//	[Faulty]   a FUSE file system over a directory: errors, short and torn
//	           writes, delays and hangs by operation, file and count; and power
//	           loss at any single operation, as strict as POSIX allows
//	[Damage]   what happens to the files of a stopped broker: flipped bits, lost
//	           ends, stale copies, by class of file
//
// Disks need Linux and root, and end with their test. When the test process is
// killed instead, its loop devices are detached and its files freed as soon as
// nothing is mounted from them, and what is still mounted is unmounted by the
// next test that makes a disk. Tests should run in a mount namespace of their
// own, see [Private]. Damage needs none of this.
//
// None of it is part of the product, which does not know about these disks.
package disk

// Disk is a place for a data directory.
type Disk interface {
	// Dir is the directory that the disk is for. It exists, empty at first,
	// whenever the disk is mounted.
	Dir() string
}

// Volatile is a disk that can lose power.
type Volatile interface {
	Disk
	// PowerCut loses the power: nothing that was not synced by now reaches the
	// disk any more, and no operation on it succeeds. What runs on the disk
	// is killed next, by the caller, before it can tell that from a failure.
	PowerCut() error
	// Remount brings the disk back, without what was lost. Nothing may use it
	// any more; for processes that are just dying it waits a little. A disk
	// that lost no power comes back unchanged.
	Remount() error
}

// Fillable is a disk that can be full.
type Fillable interface {
	Disk
	// Fill leaves so many bytes free, as far as the file system can say.
	Fill(leave int64) error
	// Free gives back what Fill took.
	Free() error
}
