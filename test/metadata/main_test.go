// Package metadata asks whether the cluster's metadata behaves as one log that
// every broker shows a prefix of: it creates, deletes and reads topics through
// all brokers at once while controllers are killed and frozen, and has every
// history checked.
package metadata

import (
	"os"
	"testing"

	"github.com/chronik-project/chronik/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
