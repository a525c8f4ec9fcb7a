package controller

import (
	"context"
	"fmt"

	"github.com/chronik-project/chronik/internal/cluster"
)

// NewerImage asks a broker, which need not be the controller, for the metadata
// that it has applied, and returns nil if that is not newer than index. It is for
// a broker that the controller does not reach; ctx has to have a deadline.
func (c *Client) NewerImage(ctx context.Context, from cluster.BrokerID, index uint64) (*cluster.Image, error) {
	deadline, _ := ctx.Deadline()
	conn, err := c.connect(ctx, from, &pool{})
	if err != nil {
		return nil, err
	}
	defer closeAll([]*pooled{conn})
	var resp response
	if err = writeMessage(conn, request{NewerThan: &index}, deadline); err == nil {
		err = readMessage(conn, &resp, deadline)
	}
	if err != nil {
		return nil, fmt.Errorf("ask broker %d for metadata: %w", from, err)
	}
	if resp.Image == nil {
		return nil, nil
	}
	return cluster.DecodeImage(resp.Image)
}

// newerImage answers such a request. What this broker has applied is committed,
// so whoever gets it does not see what may yet be undone.
func (c *Controller) newerImage(index uint64) response {
	img := c.o.Store.Image()
	if img.Index() <= index {
		return response{}
	}
	data, err := img.Encode()
	if err != nil {
		return response{Again: err.Error()}
	}
	return response{Image: data}
}
