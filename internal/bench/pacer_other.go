//go:build !linux

package bench

// precisePacing returns the runtime's own timer: no better one is known here.
func precisePacing(bool) (napFunc, Pacing) { return timerNap, PacingTimer }
