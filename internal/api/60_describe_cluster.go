package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/wire"
)

// DescribeCluster: v0-2
//
// Behavior:
//   - The controller is the broker that leads the metadata log. All brokers take
//     administrative requests.
//   - Authorised operations are left out: there is no authorisation.
//
// Version notes:
//   - v1: endpoint type; controllers have no listener of their own here
//   - v2: fenced brokers on demand
func (t *Table) describeCluster(_ context.Context, req *wire.Request) (wire.Reply, error) {
	const brokers, controllers = 1, 2
	body := req.Body.(*kmsg.DescribeClusterRequest)
	resp := respond[*kmsg.DescribeClusterResponse](req)
	resp.EndpointType = brokers
	if req.Version >= 1 && body.EndpointType != brokers {
		err := fmt.Errorf("endpoint type %d: %w", body.EndpointType, errUnknownEndpointType)
		if body.EndpointType == controllers {
			err = errEndpointType
		}
		resp.ErrorCode, resp.ErrorMessage = int16(codeOf(err)), message(err)
		resp.EndpointType = body.EndpointType
		return wire.Now(resp), nil
	}
	img := t.o.Metadata.Image()
	resp.ClusterID = img.ClusterID()
	resp.ControllerID = int32(t.o.Controller())
	for _, b := range img.Brokers() {
		if !b.Fenced || body.IncludeFencedBrokers {
			resp.Brokers = append(resp.Brokers, kmsg.DescribeClusterResponseBroker{
				NodeID: int32(b.ID), Host: b.Client.Host, Port: b.Client.Port, Rack: rack(b), IsFenced: b.Fenced,
			})
		}
	}
	return wire.Now(resp), nil
}
