package peer

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRefusalsAreLoggedOnce: whoever is refused calls again at once, and must
// not fill the log, nor the memory with what was logged.
func TestRefusalsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		m := NewMux(Options{Self: 1, Logger: slog.New(slog.NewTextHandler(&text, nil))})
		conn, other := net.Pipe()
		defer conn.Close()
		defer other.Close()
		logged := func(reason string) int {
			before := strings.Count(text.String(), "\n")
			m.logRefusal(t.Context(), conn, &RefusedError{Addr: "a", Reason: reason})
			return strings.Count(text.String(), "\n") - before
		}
		if logged("wrong cluster") != 1 || logged("wrong cluster") != 0 || logged("wrong broker") != 1 {
			t.Errorf("the log has\n%s", text.String())
		}
		timer := time.NewTimer(repeatRefusal + time.Second)
		<-timer.C
		if logged("wrong cluster") != 1 {
			t.Error("a refusal that lasts is not repeated")
		}
		for i := range 10 * maxRefusals {
			logged(fmt.Sprint("reason ", i))
			if len(m.refusals) > maxRefusals {
				t.Fatalf("%d refusals are remembered, want at most %d", len(m.refusals), maxRefusals)
			}
		}
	})
}
