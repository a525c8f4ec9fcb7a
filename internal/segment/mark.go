package segment

import "fmt"

// Mark is the state of one partition that a checkpoint has made durable.
type Mark struct {
	// LSN is the position in the write-ahead log that the mark was taken at:
	// frames of this partition below it are part of the mark, others are not.
	LSN int64
	// Start and End are the offsets that the log spans.
	Start, End int64
	// HighWatermark is for the caller, who sets it.
	HighWatermark int64
	// Generation names the files that hold it.
	Generation uint32
	// Epochs is the epoch vector.
	Epochs []EpochStart
}

func (m Mark) validate() error {
	if m.LSN < 0 || m.Start < 0 || m.Start > m.End || m.HighWatermark < 0 || !epochs(m.Epochs).valid(m.End) {
		return fmt.Errorf("mark %+v: %w", m, ErrCorrupt)
	}
	return nil
}
