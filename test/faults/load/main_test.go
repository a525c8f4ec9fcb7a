package load

import (
	"os"
	"testing"

	"github.com/chronik-project/chronik/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
