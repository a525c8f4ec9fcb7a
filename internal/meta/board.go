package meta

import (
	"sync"
	"sync/atomic"

	"github.com/chronik-project/chronik/internal/cluster"
)

// Leadership says who leads the metadata log, as far as this broker knows.
type Leadership struct {
	// Leader is NoBroker while none is known.
	Leader cluster.BrokerID
	// Self says that this broker leads. A leader that was deposed and elected
	// again in between shows another Term.
	Self bool
	Term uint64
}

// board is where the latest image and leadership are put up for everybody to
// read. Readers never wait for writers.
type board struct {
	img    atomic.Pointer[cluster.Image]
	mu     sync.Mutex
	images chan struct{} // guarded by mu; closed at the next image
	lead   Leadership    // guarded by mu
	leads  chan struct{} // guarded by mu; closed at the next leadership
}

func newBoard() *board {
	b := &board{images: make(chan struct{}), leads: make(chan struct{}), lead: Leadership{Leader: cluster.NoBroker}}
	b.img.Store(cluster.NewImage())
	return b
}

func (b *board) image() *cluster.Image { return b.img.Load() }

// watch returns the image and a channel that is closed when another one is up.
func (b *board) watch() (*cluster.Image, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.img.Load(), b.images
}

func (b *board) setImage(img *cluster.Image) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.img.Store(img)
	close(b.images)
	b.images = make(chan struct{})
}

func (b *board) leadership() (Leadership, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lead, b.leads
}

// setLeadership reports whether it is news.
func (b *board) setLeadership(lead Leadership) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lead == lead {
		return false
	}
	b.lead = lead
	close(b.leads)
	b.leads = make(chan struct{})
	return true
}
