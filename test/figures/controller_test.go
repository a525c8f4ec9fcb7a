//go:build figures

package figures

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/devcluster"
)

// controller is the broker that leads the metadata log.
func controller(t *testing.T, c *devcluster.Cluster) int {
	t.Helper()
	client := producer(t, c, "t")
	resp, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	return int(resp.ControllerID)
}
