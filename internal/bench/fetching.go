package bench

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Fetching is how consumers ask for records. The zero value of a field means
// its default, which is the client library's.
type Fetching struct {
	// MinBytes is what a broker waits for before it answers.
	//
	// The default is 1.
	MinBytes int32 `json:"min_bytes"`

	// MaxBytes bounds one answer.
	//
	// The default is 50 MiB.
	MaxBytes int32 `json:"max_bytes"`

	// MaxPartitionBytes bounds what one answer has of one partition.
	//
	// The default is 1 MiB.
	MaxPartitionBytes int32 `json:"max_partition_bytes"`

	// MaxWaitMillis is how long a broker may wait for MinBytes.
	//
	// The default is 5,000.
	MaxWaitMillis int64 `json:"max_wait_ms"`
}

func (f Fetching) withDefaults() Fetching {
	if f.MinBytes == 0 {
		f.MinBytes = 1
	}
	if f.MaxBytes == 0 {
		f.MaxBytes = 50 << 20
	}
	if f.MaxPartitionBytes == 0 {
		f.MaxPartitionBytes = 1 << 20
	}
	if f.MaxWaitMillis == 0 {
		f.MaxWaitMillis = 5000
	}
	return f
}

func (f Fetching) validate() error {
	switch {
	case f.MinBytes < 0 || f.MaxBytes < f.MinBytes || f.MaxPartitionBytes < 0 || f.MaxPartitionBytes > f.MaxBytes:
		return fmt.Errorf("%w: fetches of %d to %d bytes, %d of a partition", ErrConfig, f.MinBytes, f.MaxBytes, f.MaxPartitionBytes)
	case f.MaxWaitMillis < 1 || f.MaxWaitMillis > time.Minute.Milliseconds():
		return fmt.Errorf("%w: a fetch that waits %d ms", ErrConfig, f.MaxWaitMillis)
	}
	return nil
}

func (f Fetching) options() []kgo.Opt {
	return []kgo.Opt{
		kgo.FetchMinBytes(f.MinBytes),
		kgo.FetchMaxBytes(f.MaxBytes),
		kgo.FetchMaxPartitionBytes(f.MaxPartitionBytes),
		kgo.FetchMaxWait(time.Duration(f.MaxWaitMillis) * time.Millisecond),
	}
}
