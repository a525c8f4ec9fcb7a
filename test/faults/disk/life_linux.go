package disk

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// life is the time between a mount of a Faulty disk and its end. It is what
// operations wait in.
type life struct {
	begun atomic.Bool

	off  chan struct{} // closed when the power is off
	once sync.Once
	over chan struct{} // closed when the disk is about to be unmounted
	end  sync.Once
}

func newLife() *life { return &life{off: make(chan struct{}), over: make(chan struct{})} }

// hang waits, if the power is off, for the end of the life.
func (l *life) hang(ctx context.Context) syscall.Errno {
	select {
	case <-l.off:
		return l.await(ctx, nil, nil)
	default:
		return 0
	}
}

// dyingEvery is how often a process that got a signal is looked at.
const dyingEvery = 5 * time.Millisecond

// await waits for either event. It fails at the end of the life, and when the
// process that waits is killed, which would wait for an answer for ever. Other
// signals do not interrupt a disk.
func (l *life) await(ctx context.Context, timer <-chan time.Time, event <-chan struct{}) syscall.Errno {
	signalled := ctx.Done()
	tick := time.NewTicker(dyingEvery)
	defer tick.Stop()
	for {
		select {
		case <-timer:
			return 0
		case <-event:
			return 0
		case <-l.over:
			return syscall.EIO
		case <-signalled:
			signalled = nil // the kernel tells of one signal only
		case <-tick.C:
			if signalled == nil && dying(ctx) {
				return syscall.EINTR
			}
		}
	}
}

// dying tells whether the thread that asked has been killed.
func dying(ctx context.Context) bool {
	caller, ok := fuse.FromContext(ctx)
	if !ok {
		return true
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", caller.Pid))
	if err != nil {
		return true
	}
	const kill = 1 << (syscall.SIGKILL - 1)
	for line := range strings.Lines(string(text)) {
		mask, ok := strings.CutPrefix(line, "SigPnd:")
		if !ok {
			continue
		}
		pending, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
		return err != nil || pending&kill != 0
	}
	return true
}
