package partition

import (
	"errors"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
)

// run is what whole batches without a gap hold.
type run struct {
	base, next            int64 // offsets [base, next)
	firstEpoch, lastEpoch cluster.Epoch
}

var errBrokenRun = errors.New("batches that do not follow each other")

// checkRun verifies what came over the network: a follower never makes durable
// what it could not serve, or what its own log would refuse after that.
func checkRun(p []byte) (run, error) {
	first, _, err := record.Next(p)
	if err != nil {
		return run{}, err
	}
	epoch := cluster.Epoch(first.LeaderEpoch())
	r := run{base: first.BaseOffset(), next: first.BaseOffset(), firstEpoch: epoch, lastEpoch: epoch}
	for len(p) > 0 {
		b, rest, err := record.Next(p)
		if err != nil {
			return run{}, err
		}
		if err := record.Validate(b, len(b)); err != nil {
			return run{}, err
		}
		epoch := cluster.Epoch(b.LeaderEpoch())
		if b.BaseOffset() != r.next || epoch < r.lastEpoch {
			return run{}, fmt.Errorf("%w: %d in epoch %d after %d in epoch %d", errBrokenRun, b.BaseOffset(), epoch, r.next, r.lastEpoch)
		}
		r.next, r.lastEpoch = b.NextOffset(), epoch
		p = rest
	}
	return r, nil
}
