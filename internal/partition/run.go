package partition

import (
	"errors"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/record"
)

var errBrokenRun = errors.New("batches that do not follow each other")

// checkRun verifies what came over the network: a follower never makes durable
// what it could not serve, or what its own log would refuse after that.
func checkRun(p []byte) (Run, error) {
	first, _, err := record.Next(p)
	if err != nil {
		return Run{}, err
	}
	epoch := cluster.Epoch(first.LeaderEpoch())
	r := Run{Base: first.BaseOffset(), Next: first.BaseOffset(), FirstEpoch: epoch, LastEpoch: epoch}
	for len(p) > 0 {
		b, rest, err := record.Next(p)
		if err != nil {
			return Run{}, err
		}
		if err := record.Validate(b, len(b)); err != nil {
			return Run{}, err
		}
		epoch := cluster.Epoch(b.LeaderEpoch())
		if b.BaseOffset() != r.Next || epoch < r.LastEpoch {
			return Run{}, fmt.Errorf("%w: %d in epoch %d after %d in epoch %d", errBrokenRun, b.BaseOffset(), epoch, r.Next, r.LastEpoch)
		}
		r.Next, r.LastEpoch = b.NextOffset(), epoch
		p = rest
	}
	return r, nil
}
