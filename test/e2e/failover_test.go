//go:build e2e

package e2e

import (
	"encoding/json"
	"testing"

	"github.com/chronik-project/chronik/test/harness"
)

// TestFailoverIsMeasured has the command start brokers of its own and kill one.
// Times are those of this machine; that there are some, in order, is checked.
func TestFailoverIsMeasured(t *testing.T) {
	t.Parallel()
	stdout := run(t, "", harness.Binary(), "bench", "failover", "--rate", "200", "--at", "2s", "--duration", "12s", "--warmup", "500ms", "-o", "json")
	var got struct {
		Data struct {
			Partitions []struct {
				Affected     bool
				Unavailable  *float64 `json:"unavailable_ms"`
				FirstAck     *float64 `json:"first_ack_ms"`
				Detected     *float64 `json:"detected_ms"`
				Elected      *float64 `json:"elected_ms"`
				Propagated   *float64 `json:"propagated_ms"`
				LeaderBefore int32    `json:"leader_before"`
				LeaderAfter  *int32   `json:"leader_after"`
			}
			Replicas struct{ Replicas int }
			Fault    struct{ Broker int32 }
		}
		Summary struct {
			Affected   int
			Verified   bool
			ReplicasOK bool `json:"replicas_ok"`
		}
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got.Summary.Affected == 0 || !got.Summary.Verified || !got.Summary.ReplicasOK || got.Data.Replicas.Replicas != 18 {
		t.Errorf("summary %+v, %d replicas\n%s", got.Summary, got.Data.Replicas.Replicas, stdout)
	}
	for i, p := range got.Data.Partitions {
		if !p.Affected {
			continue
		}
		if p.FirstAck == nil || p.Detected == nil || p.Elected == nil || p.Propagated == nil || p.LeaderAfter == nil {
			t.Errorf("partition %d: something is not known: %+v", i, p)
			continue
		}
		if p.LeaderBefore != got.Data.Fault.Broker || *p.LeaderAfter == p.LeaderBefore || *p.Detected > *p.Elected || *p.Elected > *p.Propagated || *p.Unavailable <= 0 {
			t.Errorf("partition %d: %+v", i, p)
		}
	}
}
