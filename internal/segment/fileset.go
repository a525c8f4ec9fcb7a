package segment

import "slices"

// fileSet is the log's files. All of it is guarded by Log.mu.
type fileSet struct {
	// live hold the records of the log, oldest first, without a gap.
	live []*file
	// obsolete hold records that were cut off or have expired. They stay until
	// no checkpoint needs them any more (S1).
	obsolete []*file
	// active is the last live file if it can take more records, else nil.
	active *file
	// flushed is the offset up to which the live files hold the log.
	flushed int64
	// flushing is the offset up to which a Flush is writing right now, zero if
	// none is.
	flushing int64
	// segmentBytes is the size at which a file is sealed.
	segmentBytes int64
	// generation is that of the next file.
	generation uint32
	// namesDirty says that the directory was changed since its last sync.
	namesDirty bool
	// namesUnsure says that an earlier process may have changed it: the next
	// sync includes it, so that files which were removed cannot come back
	// beside a mark that does not expect them.
	namesUnsure bool
}

// find is the live file that holds the record at offset, or nil.
func (s *fileSet) find(offset int64) *file {
	i, ok := slices.BinarySearchFunc(s.live, offset, func(f *file, offset int64) int {
		switch {
		case f.end <= offset:
			return -1
		case f.base > offset:
			return 1
		default:
			return 0
		}
	})
	if !ok {
		return nil
	}
	return s.live[i]
}

// cut makes the files hold nothing from boundary on, without touching them:
// what follows goes to files of a new generation. within is the extent of the
// file that boundary lies in, if it lies in one.
func (s *fileSet) cut(boundary int64, within extent) {
	s.generation++
	n := len(s.live)
	for n > 0 && s.live[n-1].base >= boundary {
		n--
		s.live[n].cutIn = s.generation
		s.obsolete = append(s.obsolete, s.live[n])
	}
	s.live = s.live[:n]
	if n > 0 && s.live[n-1].end > boundary {
		s.live[n-1].extent, s.live[n-1].cutIn = within, s.generation
	} else if n > 0 && s.flushing > 0 {
		s.live[n-1].cutIn = s.generation // there may be bytes of a flush that is void now
	}
	s.active, s.flushing = nil, 0
	s.flushed = boundary
}

// reset makes the set empty, and what follows start at an offset.
func (s *fileSet) reset(start int64) {
	s.generation++
	s.obsolete = append(s.obsolete, s.live...)
	for _, f := range s.obsolete {
		f.cutIn = s.generation
	}
	s.live, s.active, s.flushing = nil, nil, 0
	s.flushed = start
}

// expire drops the files that lie wholly before start, but for the active one.
func (s *fileSet) expire(start int64) {
	n := 0
	for n < len(s.live) && s.live[n].end <= start && s.live[n] != s.active {
		n++
	}
	s.obsolete = append(s.obsolete, s.live[:n]...)
	s.live = s.live[n:]
}

// unneeded takes the obsolete files that the mark, which is on disk, does not
// rely on.
func (s *fileSet) unneeded(m Mark) []*file {
	var gone []*file
	s.obsolete = slices.DeleteFunc(s.obsolete, func(f *file) bool {
		if f.end <= m.Start || f.cutIn > 0 && m.Generation >= f.cutIn {
			gone = append(gone, f)
			return true
		}
		return false
	})
	return gone
}

// bytes is the size of the live files.
func (s *fileSet) bytes() int64 {
	total := int64(0)
	for _, f := range s.live {
		total += f.bytes
	}
	return total
}

// layout decides which of the files found on disk hold what a mark describes.
// The others are of a generation that the checkpoint does not know, have been
// cut off by a later one, or lie outside of the mark.
func layout(found []fileName, m Mark) (keep, remove []fileName) {
	slices.SortFunc(found, fileName.compare)
	for _, n := range found {
		if n.generation > m.Generation || n.base >= m.End {
			remove = append(remove, n)
			continue
		}
		// A generation holds everything from its first file on.
		for len(keep) > 0 && keep[len(keep)-1].generation < n.generation && keep[len(keep)-1].base >= n.base {
			remove = append(remove, keep[len(keep)-1])
			keep = keep[:len(keep)-1]
		}
		keep = append(keep, n)
	}
	for len(keep) > 0 && endOf(keep, m) <= m.Start {
		remove = append(remove, keep[0])
		keep = keep[1:]
	}
	return keep, remove
}

// endOf is the offset that the first of the files reaches to.
func endOf(files []fileName, m Mark) int64 {
	if len(files) > 1 {
		return files[1].base
	}
	return m.End
}
