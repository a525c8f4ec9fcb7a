package main

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

const (
	prSetTimerSlack = 29 // prctl(2)
	schedFIFO       = 1  // sched_setscheduler(2)
	minNap          = 100 * time.Microsecond
	maxNap          = 5 * time.Millisecond
)

// punctual keeps the calling goroutine on a thread that the kernel wakes before
// all ordinary ones, where that is allowed: what chronik bench does.
func punctual() {
	runtime.LockOSThread()
	// What the kernel refuses costs punctuality, which is measured.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1, 0)
	priority := int32(1)
	_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_SETSCHEDULER, 0, schedFIFO, uintptr(unsafe.Pointer(&priority)))
}

// nap sleeps until about then, and may return early.
func nap(then time.Time) {
	ts := syscall.NsecToTimespec(int64(min(max(time.Until(then), minNap), maxNap)))
	_ = syscall.Nanosleep(&ts, nil)
}
