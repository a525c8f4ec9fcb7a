package api

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
)

func TestDescribeCluster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, func(o *Options) { o.Controller = func() cluster.BrokerID { return 2 } })
		b.fence(3)
		for _, version := range versions(t, 60, 0) {
			for _, fenced := range []bool{false, true} {
				req := kmsg.NewPtrDescribeClusterRequest()
				req.IncludeFencedBrokers = fenced
				resp := ask[*kmsg.DescribeClusterResponse](b, req, version)
				what := fmt.Sprintf("v%d fenced %v", version, fenced)
				wantCode(t, what, resp.ErrorCode, codeNone)
				want := 2
				if fenced && version >= 2 {
					want = 3
				}
				if resp.ClusterID != "test-cluster" || resp.ControllerID != 2 || len(resp.Brokers) != want {
					t.Errorf("%s: cluster %q, controller %d, %d brokers; want %d brokers", what, resp.ClusterID, resp.ControllerID, len(resp.Brokers), want)
				}
				if want == 3 && (!resp.Brokers[2].IsFenced || resp.Brokers[0].IsFenced) {
					t.Errorf("%s: %+v, want broker 3 fenced", what, resp.Brokers)
				}
			}
		}
	})
}

func TestDescribeClusterServesBrokersOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		for endpoint, want := range map[int8]code{1: codeNone, 2: codeMismatchedEndpointType, 3: codeUnsupportedEndpointType} {
			req := kmsg.NewPtrDescribeClusterRequest()
			req.EndpointType = endpoint
			resp := ask[*kmsg.DescribeClusterResponse](b, req, 1)
			wantCode(t, fmt.Sprintf("endpoint type %d", endpoint), resp.ErrorCode, want)
		}
	})
}
