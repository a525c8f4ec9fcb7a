// Package powercut takes the power from the storage of one broker, over and
// over: a process appends to partitions on an ext4 of its own and tells of each
// acknowledged record over a pipe; at a random moment, be it in the middle of
// recovery, the file system is shut down without a last write and the process
// is killed. The next process recovers what is left. Every record that was
// acknowledged must be there, intact and in its place, and nothing else may be.
//
// The tests need Linux, root and the build tag faults:
//
//	go test -tags faults ./test/faults/powercut -cuts 20000 -timeout 2h
package powercut
