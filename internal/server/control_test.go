package server

import (
	"testing"

	"github.com/chronik-project/chronik/internal/partition"
)

// TestProposalsThatFindNoRoomAreDropped: no partition ever waits for the
// controller, however long it does not answer.
func TestProposalsThatFindNoRoomAreDropped(t *testing.T) {
	t.Parallel()
	p := newProposer(nil)
	for i := range 2 * maxProposalBatches {
		p.offer(make([]partition.Proposal, i))
	}
	if got := len(p.queue); got != maxProposalBatches {
		t.Fatalf("%d batches wait, want %d", got, maxProposalBatches)
	}
	for i := range maxProposalBatches {
		if got := len(<-p.queue); got != i {
			t.Errorf("batch %d was offered as number %d: the first have to be kept", i, got)
		}
	}
}
