package server

import (
	"sync"

	"github.com/chronik-project/chronik/internal/cluster"
)

// board is the metadata as this broker's replicas have applied it. Requests are
// answered from it, never from the metadata log's newest image: what a client
// is told of a partition, the partition itself knows already.
type board struct {
	mu   sync.Mutex
	img  *cluster.Image // guarded by mu
	next chan struct{}  // guarded by mu; closed when img is replaced
}

func newBoard() *board {
	return &board{img: cluster.NewImage(), next: make(chan struct{})}
}

// Image is the newest applied image.
func (b *board) Image() *cluster.Image {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.img
}

// Watch returns the newest applied image and a channel that is closed when
// there is a newer one.
func (b *board) Watch() (*cluster.Image, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.img, b.next
}

func (b *board) publish(img *cluster.Image) {
	b.mu.Lock()
	next := b.next
	b.img, b.next = img, make(chan struct{})
	b.mu.Unlock()
	close(next)
}
