package api

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/wire"
)

// InitProducerId: v0-5
//
// Behavior:
//   - Answers a fresh producer id with epoch 0. Ids come from blocks that were
//     reserved ahead, so this does not wait for consensus; when there are none
//     yet it waits a little, then answers COORDINATOR_LOAD_IN_PROGRESS, which
//     clients retry.
//   - A producer that sends the id it has gets a new one all the same: an
//     idempotent producer raises its epoch by itself (KIP-360).
//   - With a transactional id it fails: there is no transaction coordinator.
//
// Version notes:
//   - v2: flexible
//   - v3: current producer id and epoch
//   - v4, v5: codes for transactions

// initProducerIDWait is how long a client waits for the first block of ids: the
// start of a cluster takes about as long.
const initProducerIDWait = 2 * time.Second

func (t *Table) initProducerID(_ context.Context, req *wire.Request) (wire.Reply, error) {
	body := req.Body.(*kmsg.InitProducerIDRequest)
	resp := respond[*kmsg.InitProducerIDResponse](req)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if body.TransactionalID != nil && *body.TransactionalID != "" {
		resp.ErrorCode = int16(codeOf(errTransactions))
		t.o.Logger.Debug("transactional producer refused", slog.String("transactional_id", *body.TransactionalID))
		return wire.Now(resp), nil
	}
	return wire.Func(func(ctx context.Context) (kmsg.Response, error) {
		ctx, cancel := context.WithTimeout(ctx, initProducerIDWait)
		defer cancel()
		id, err := t.ids.take(ctx)
		if err != nil {
			resp.ErrorCode = int16(codeOf(fmt.Errorf("init producer id: %w", err)))
			return resp, nil
		}
		resp.ProducerID, resp.ProducerEpoch = id, 0
		return resp, nil
	}), nil
}
