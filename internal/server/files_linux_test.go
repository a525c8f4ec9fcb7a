package server

import (
	"os"
	"testing"
)

// TestAStopClosesEveryFile starts and stops a broker, which is not parallel to
// other tests, as their files would count too.
func TestAStopClosesEveryFile(t *testing.T) {
	open := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	run := func(dir string) {
		b := startBroker(t, Config{DataDir: dir})
		produce(t, b.clients, 3)
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
	}
	run(t.TempDir()) // the runtime keeps files of its own from now on
	before := open()
	dir := t.TempDir()
	for range 3 {
		run(dir)
	}
	if after := open(); after > before {
		t.Errorf("%d files are open, %d were before", after, before)
	}
}
