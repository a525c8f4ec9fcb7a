package api

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
)

// Session ids and epochs that mean something else (KIP-227).
const (
	noSession     int32 = 0  // the client has no session
	finalEpoch    int32 = -1 // close the session, if any, and open none
	openingEpoch  int32 = 0  // open a session
	unknownOffset int64 = -1
)

// fetchKey names a partition in a fetch request: by topic id from v13 on, by
// topic name before. The other one is zero.
type fetchKey struct {
	id    cluster.UUID
	name  string
	index int32
}

// fetchPart is what a client wants of one partition.
type fetchPart struct {
	fetchKey
	offset       int64
	maxBytes     int32
	currentEpoch int32
	lastEpoch    int32
}

// sessionPart is a partition of a session and what the client was told of it.
type sessionPart struct {
	fetchPart
	highWatermark  int64
	logStartOffset int64
}

// fetchSession is the set of partitions that a client fetches again and again,
// so that requests and responses carry only what changes.
type fetchSession struct {
	id    int32
	byIDs bool

	lastUsed time.Time // guarded by fetchSessions.mu

	mu    sync.Mutex
	epoch int32                     // guarded by mu; that the next request has to carry
	parts map[fetchKey]*sessionPart // guarded by mu
	order []fetchKey                // guarded by mu; the partitions in the order they are served
}

// fetchSessions is a bounded set of sessions. When it is full, a session that
// has not been used for a while makes room; if there is none, a newcomer gets no
// session and fetches in full each time.
type fetchSessions struct {
	maxSessions, maxPartitions int
	idle                       time.Duration

	mu         sync.Mutex
	byID       map[int32]*fetchSession // guarded by mu
	partitions map[int32]int           // guarded by mu; size of each session
	total      int                     // guarded by mu; sum of partitions
}

func newFetchSessions(o Options) *fetchSessions {
	return &fetchSessions{
		maxSessions: o.MaxFetchSessions, maxPartitions: o.MaxFetchSessionPartitions, idle: o.FetchSessionIdle,
		byID: map[int32]*fetchSession{}, partitions: map[int32]int{},
	}
}

// begin applies a request to its session. It returns the partitions to read, in
// the order to serve them, and the session, nil when there is none. full says
// that the response has to list every partition.
func (s *fetchSessions) begin(body *kmsg.FetchRequest, now time.Time) (parts []fetchPart, session *fetchSession, full bool, err error) {
	byIDs := body.Version >= firstTopicIDFetch
	if body.SessionEpoch > openingEpoch {
		session, err = s.use(body.SessionID, now)
		if err == nil {
			parts, err = session.update(body, byIDs)
		}
		if err != nil {
			return nil, nil, false, err
		}
		s.resized(session)
		return parts, session, false, nil
	}
	if body.SessionID != noSession {
		s.remove(body.SessionID)
	}
	parts = requestParts(body)
	if body.SessionEpoch == openingEpoch && len(parts) > 0 {
		session = s.open(parts, byIDs, now)
	}
	return parts, session, true, nil
}

// use finds a session and marks it as used.
func (s *fetchSessions) use(id int32, now time.Time) (*fetchSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session, ok := s.byID[id]
	if !ok {
		return nil, fmt.Errorf("session %d: %w", id, errSessionNotFound)
	}
	session.lastUsed = now
	return session, nil
}

func (s *fetchSessions) remove(id int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(id)
}

// drop removes a session. REQUIRES: s.mu is held.
func (s *fetchSessions) drop(id int32) {
	s.total -= s.partitions[id]
	delete(s.partitions, id)
	delete(s.byID, id)
}

// resized accounts for a session whose partitions may have changed. One that no
// longer fits is closed; its client notices and opens another.
func (s *fetchSessions) resized(session *fetchSession) {
	size := session.size()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[session.id] != session {
		return
	}
	s.total += size - s.partitions[session.id]
	s.partitions[session.id] = size
	if s.total > s.maxPartitions {
		s.drop(session.id)
	}
}

// open creates a session, or returns nil when there is no room.
func (s *fetchSessions) open(parts []fetchPart, byIDs bool, now time.Time) *fetchSession {
	session := &fetchSession{byIDs: byIDs, lastUsed: now, epoch: 1, parts: map[fetchKey]*sessionPart{}}
	for _, part := range parts {
		session.put(part)
	}
	size := len(session.parts)

	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.byID) >= s.maxSessions || s.total+size > s.maxPartitions {
		if !s.evict(now) {
			return nil
		}
	}
	for session.id == noSession || s.byID[session.id] != nil {
		session.id = 1 + rand.Int32N(math.MaxInt32)
	}
	s.byID[session.id] = session
	s.partitions[session.id] = size
	s.total += size
	return session
}

// evict drops the session that was unused for longest, if that is long enough.
// REQUIRES: s.mu is held.
func (s *fetchSessions) evict(now time.Time) bool {
	var oldest *fetchSession
	for _, session := range s.byID {
		if oldest == nil || session.lastUsed.Before(oldest.lastUsed) {
			oldest = session
		}
	}
	if oldest == nil || now.Sub(oldest.lastUsed) < s.idle {
		return false
	}
	s.drop(oldest.id)
	return true
}

// requestParts lists the partitions that a request names.
func requestParts(body *kmsg.FetchRequest) []fetchPart {
	var parts []fetchPart
	for i := range body.Topics {
		topic := &body.Topics[i]
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			parts = append(parts, fetchPart{
				fetchKey: fetchKey{id: topic.TopicID, name: topic.Topic, index: p.Partition},
				offset:   p.FetchOffset, maxBytes: p.PartitionMaxBytes,
				currentEpoch: p.CurrentLeaderEpoch, lastEpoch: p.LastFetchedEpoch,
			})
		}
	}
	return parts
}

func (s *fetchSession) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.parts)
}

// put adds or replaces a partition. REQUIRES: s.mu is held, or s is not shared.
func (s *fetchSession) put(part fetchPart) {
	if known, ok := s.parts[part.fetchKey]; ok {
		known.fetchPart = part
		return
	}
	s.parts[part.fetchKey] = &sessionPart{fetchPart: part, highWatermark: unknownOffset, logStartOffset: unknownOffset}
	s.order = append(s.order, part.fetchKey)
}

// update applies an incremental request and lists all partitions of the session.
func (s *fetchSession) update(body *kmsg.FetchRequest, byIDs bool) ([]fetchPart, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case body.SessionEpoch != s.epoch:
		return nil, fmt.Errorf("session %d: epoch %d, expected %d: %w", s.id, body.SessionEpoch, s.epoch, errSessionEpoch)
	case byIDs != s.byIDs:
		return nil, fmt.Errorf("session %d: %w", s.id, errSessionTopicIDs)
	}
	if s.epoch++; s.epoch < 0 {
		s.epoch = 1 // 0 and -1 have meanings of their own
	}
	for i := range body.ForgottenTopics {
		topic := &body.ForgottenTopics[i]
		for _, index := range topic.Partitions {
			delete(s.parts, fetchKey{id: topic.TopicID, name: topic.Topic, index: index})
		}
	}
	for _, part := range requestParts(body) {
		s.put(part)
	}
	kept := s.order[:0]
	parts := make([]fetchPart, 0, len(s.parts))
	seen := make(map[fetchKey]bool, len(s.parts)) // forgotten and named again
	for _, key := range s.order {
		if part, ok := s.parts[key]; ok && !seen[key] {
			seen[key] = true
			kept = append(kept, key)
			parts = append(parts, part.fetchPart)
		}
	}
	s.order = kept
	return parts, nil
}

// told notes what a response says of a partition and reports whether that is
// news.
func (s *fetchSession) told(key fetchKey, highWatermark, logStartOffset int64) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	part, ok := s.parts[key]
	if !ok {
		return true // forgotten by a request that overtook
	}
	news = part.highWatermark != highWatermark || part.logStartOffset != logStartOffset
	part.highWatermark, part.logStartOffset = highWatermark, logStartOffset
	return news
}

// rotate makes the next request start behind the last partition that got
// records, so that a response that is full does not starve those behind it.
func (s *fetchSession) rotate(last fetchKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, key := range s.order {
		if key == last {
			rotated := make([]fetchKey, 0, len(s.order))
			rotated = append(rotated, s.order[i+1:]...)
			s.order = append(rotated, s.order[:i+1]...)
			return
		}
	}
}
