package disk

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Harm is a way to damage a file.
type Harm string

// The ways.
const (
	FlipOneBit  Harm = "flip a bit"
	Scribble    Harm = "overwrite with noise"
	ZeroOut     Harm = "overwrite with zeros"
	CutShort    Harm = "cut off the end"
	DeleteFile  Harm = "delete"
	BringItBack Harm = "restore a stale copy" // needs copies that were kept before
)

// Harms are all of them.
var Harms = []Harm{FlipOneBit, Scribble, ZeroOut, CutShort, DeleteFile, BringItBack}

// Injury is what was done.
type Injury struct {
	Class Class
	Harm  Harm
	File  string
	// Start and End are the bytes that are not what they were. For a file that
	// was deleted or is stale, all of them.
	Start, End int64
}

// String is a line for reports.
func (i Injury) String() string {
	return fmt.Sprintf("%s: %s, bytes [%d, %d) of %s", i.Class, i.Harm, i.Start, i.End, i.File)
}

// scribbleBytes bounds what Scribble and ZeroOut overwrite.
const scribbleBytes = 4096

// Damage harms a file of a class in the data directory of a stopped broker, at
// random and where the broker will rely on it: see [Live]. kept is for
// [BringItBack] only.
//
// Errors: ErrNothingThere, also if no kept copy is stale.
func Damage(rng *rand.Rand, dir string, c Class, h Harm, kept Copies) (Injury, error) {
	if h == BringItBack {
		return bringBack(rng, c, kept)
	}
	live, err := Live(dir, c)
	if err != nil {
		return Injury{}, err
	}
	r, at, err := choose(rng, live)
	if err != nil {
		return Injury{}, fmt.Errorf("%s in %s: %w", c, dir, err)
	}
	injury := Injury{Class: c, Harm: h, File: r.File, Start: at, End: min(r.End, at+1+rng.Int64N(scribbleBytes))}
	switch h {
	case FlipOneBit:
		injury.End = at + 1
		err = FlipBit(r.File, at*8+rng.Int64N(8))
	case Scribble:
		noise := make([]byte, injury.End-at)
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		err = Overwrite(r.File, at, noise)
	case ZeroOut:
		err = Overwrite(r.File, at, make([]byte, injury.End-at))
	case CutShort:
		injury.End = r.End
		err = os.Truncate(r.File, at)
	case DeleteFile:
		injury.Start, injury.End = 0, r.End
		err = os.Remove(r.File)
	default:
		err = fmt.Errorf("no harm %q", h)
	}
	return injury, err
}

func bringBack(rng *rand.Rand, c Class, kept Copies) (Injury, error) {
	stale, err := kept.stale()
	if err != nil {
		return Injury{}, err
	}
	if len(stale) == 0 {
		return Injury{}, fmt.Errorf("no stale copy of a %s: %w", c, ErrNothingThere)
	}
	name := stale[rng.IntN(len(stale))]
	return Injury{Class: c, Harm: BringItBack, File: name, End: int64(len(kept[name]))}, kept.Restore(name)
}

// choose draws a byte. It avoids zeros, which may be padding that nobody reads.
func choose(rng *rand.Rand, live []Range) (Range, int64, error) {
	var total int64
	for _, r := range live {
		total += r.End - r.Start
	}
	if total == 0 {
		return Range{}, 0, ErrNothingThere
	}
	for range 1000 {
		n := rng.Int64N(total)
		for _, r := range live {
			if size := r.End - r.Start; n >= size {
				n -= size
				continue
			}
			b, err := byteAt(r.File, r.Start+n)
			if err != nil {
				return Range{}, 0, err
			}
			if b != 0 {
				return r, r.Start + n, nil
			}
			break
		}
	}
	return Range{}, 0, ErrNothingThere
}

func byteAt(name string, at int64) (byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	p := make([]byte, 1)
	_, err = f.ReadAt(p, at)
	return p[0], errors.Join(ignoreEOF(err), f.Close())
}

// FlipBit flips one bit of a file.
func FlipBit(name string, bit int64) error {
	b, err := byteAt(name, bit/8)
	if err != nil {
		return err
	}
	return Overwrite(name, bit/8, []byte{b ^ 1<<(bit%8)})
}

// Overwrite replaces bytes of a file that exists.
func Overwrite(name string, at int64, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, at)
	return errors.Join(err, f.Close())
}

// Relative makes the injury's file relative to the data directory.
func (i Injury) Relative(dir string) Injury {
	if rel, err := filepath.Rel(dir, i.File); err == nil {
		i.File = rel
	}
	return i
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
