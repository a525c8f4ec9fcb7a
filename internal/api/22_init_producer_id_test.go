package api

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestProducerIDsAreUnique(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.run(b.api.Run)
		seen := map[int64]bool{}
		for i := range 3*producerIDBlock + 7 {
			all := versions(t, 22, 0)
			version := all[i%len(all)]
			resp := ask[*kmsg.InitProducerIDResponse](b, kmsg.NewPtrInitProducerIDRequest(), version)
			wantCode(t, fmt.Sprintf("v%d", version), resp.ErrorCode, codeNone)
			if resp.ProducerID < 0 || resp.ProducerEpoch != 0 || seen[resp.ProducerID] {
				t.Fatalf("v%d: producer id %d, epoch %d; want a new one, epoch 0", version, resp.ProducerID, resp.ProducerEpoch)
			}
			seen[resp.ProducerID] = true
		}
	})
}

// A block is fetched before the last one is used up: no client waits for it.
func TestProducerIDsAreFetchedAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		var calls atomic.Int64
		b.adminer = func(ctx context.Context) error {
			if calls.Add(1) == 1 {
				return nil
			}
			timer := time.NewTimer(time.Second)
			defer timer.Stop()
			select {
			case <-timer.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		b.run(b.api.Run)
		synctest.Wait()
		began := time.Now()
		for range producerIDBlock {
			ask[*kmsg.InitProducerIDResponse](b, kmsg.NewPtrInitProducerIDRequest(), 4)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("a block's worth of ids took %v", took)
		}
		synctest.Wait()
		if calls.Load() != 2 {
			t.Errorf("%d blocks asked for, want 2", calls.Load())
		}
		ask[*kmsg.InitProducerIDResponse](b, kmsg.NewPtrInitProducerIDRequest(), 4)
		if took := time.Since(began); took != time.Second {
			t.Errorf("the id after it took %v, want the second that the block takes", took)
		}
	})
}

func TestInitProducerIDWithoutAController(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		var down atomic.Bool
		down.Store(true)
		b.adminer = func(context.Context) error {
			if down.Load() {
				return errors.New("no controller")
			}
			return nil
		}
		b.run(b.api.Run)
		began := time.Now()
		resp := ask[*kmsg.InitProducerIDResponse](b, kmsg.NewPtrInitProducerIDRequest(), 4)
		wantCode(t, "none at hand", resp.ErrorCode, codeCoordinatorLoadInProgress)
		if resp.ProducerID != -1 {
			t.Errorf("producer id %d, want -1", resp.ProducerID)
		}
		if took := time.Since(began); took != initProducerIDWait {
			t.Errorf("answered after %v, want %v", took, initProducerIDWait)
		}
		down.Store(false)
		resp = ask[*kmsg.InitProducerIDResponse](b, kmsg.NewPtrInitProducerIDRequest(), 4)
		wantCode(t, "once there is one", resp.ErrorCode, codeNone)
	})
}

func TestTransactionalProducersAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		id := "payments"
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionalID = &id
		for _, version := range versions(t, 22, 0) {
			resp := ask[*kmsg.InitProducerIDResponse](b, req, version)
			wantCode(t, fmt.Sprintf("v%d", version), resp.ErrorCode, codeInvalidTxnState)
		}
	})
}
