// Package cluster runs three brokers as an operator would, as processes of the
// chronik binary, and takes them away while records are written with acks=all.
// It knows nothing of the packages inside: what it reads and writes goes through
// public client libraries, and what it concludes comes from what clients were told
// and what they read.
package cluster

import (
	"os"
	"testing"

	"github.com/chronik-project/chronik/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
