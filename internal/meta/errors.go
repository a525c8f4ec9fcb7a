package meta

import "errors"

var (
	// ErrNotLeader means that this broker does not lead the metadata log: the
	// command was not proposed.
	ErrNotLeader = errors.New("not the metadata leader")
	// ErrBusy means that too many proposals are under way: the command was not
	// proposed.
	ErrBusy = errors.New("too many metadata proposals are under way")
	// ErrUnknownOutcome means that a command was proposed and may or may not be
	// applied, now or later. Look at the images to find out.
	ErrUnknownOutcome = errors.New("outcome of the metadata proposal is unknown")
	// ErrNotAtAddress means that another broker, or another process with this
	// one's id, answers at the address that --peers has for this broker.
	ErrNotAtAddress = errors.New("another process answers at this broker's address in --peers")
	// ErrStuck is what Options.OnStuck is given: this process can no longer keep
	// its part of the metadata log and must end.
	ErrStuck = errors.New("metadata log is stuck")
)
