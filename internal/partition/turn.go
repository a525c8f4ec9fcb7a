package partition

// turn is a lock that may be held while the disk is waited for; a mutex is only
// ever held for memory. Who waits for it waits on a channel, so that in a
// testing/synctest bubble the clock goes on, as the disk's time passes.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// Lock implements [sync.Locker].
func (t turn) Lock() { t <- struct{}{} }

// Unlock implements [sync.Locker].
func (t turn) Unlock() { <-t }
