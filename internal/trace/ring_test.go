package trace

import (
	"encoding/json"
	"sync"
	"testing"
	"time"
	"unsafe"
)

func add(r *Ring, n int) {
	for i := range n {
		r.Add(&Batch{Topic: []string{"a", "b"}[i%2], Base: int64(i), Count: 1, Received: 1, Began: 2, Appended: 3, Committed: 4, Written: 5})
	}
}

func bases(a Answer) []int64 {
	all := []int64{}
	for _, b := range a.Batches {
		all = append(all, b.Base)
	}
	return all
}

func TestRingAnswersWhatIsNew(t *testing.T) {
	t.Parallel()
	r := NewRing(8)
	add(r, 20) // of which 12 to 19 are kept
	tests := []struct {
		name         string
		q            Query
		first, count int64
		next, missed uint64
		more         bool
	}{
		{name: "from the start", q: Query{Limit: 100}, first: 12, count: 8, next: 20, missed: 12},
		{name: "from a place that is kept", q: Query{Since: 15, Limit: 100}, first: 15, count: 5, next: 20},
		{name: "nothing new", q: Query{Since: 20, Limit: 100}, next: 20},
		{name: "of another process", q: Query{Since: 500, Limit: 100}, first: 12, count: 8, next: 20, missed: 12},
		{name: "cut short", q: Query{Since: 13, Limit: 3}, first: 13, count: 3, next: 16, more: true},
		{name: "exactly the limit", q: Query{Since: 17, Limit: 3}, first: 17, count: 3, next: 20},
		{name: "one in four", q: Query{Since: 12, Limit: 100, Every: 4}, first: 15, count: 2, next: 20},
		{name: "one topic", q: Query{Since: 12, Limit: 100, Topic: "b"}, first: 13, count: 4, next: 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := r.Read(tt.q)
			got := bases(a)
			if int64(len(got)) != tt.count || a.Next != tt.next || a.Missed != tt.missed || a.More != tt.more {
				t.Fatalf("got %v, next %d, missed %d, more %t", got, a.Next, a.Missed, a.More)
			}
			if tt.count > 0 && got[0] != tt.first {
				t.Errorf("begins at %d, want %d", got[0], tt.first)
			}
		})
	}
}

func TestNilRingKeepsNothing(t *testing.T) {
	t.Parallel()
	var r *Ring
	add(r, 3)
	if a := r.Read(Query{Limit: 1}); len(a.Batches) != 0 || r.Len() != 0 {
		t.Errorf("got %v", a)
	}
}

// Every batch is read once, or counted as missed, however reading and adding
// interleave.
func TestRingLosesNothingUnseen(t *testing.T) {
	t.Parallel()
	const writers, each = 4, 20_000
	r := NewRing(512)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() { add(r, each) })
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	var since, seen, missed uint64
	for over := false; ; {
		a := r.Read(Query{Since: since, Limit: 1 << 20})
		since, seen, missed = a.Next, seen+uint64(len(a.Batches)), missed+a.Missed
		if over {
			break
		}
		select {
		case <-ended:
			over = true // and once more
		default:
		}
	}
	if seen+missed != writers*each || seen == 0 {
		t.Errorf("seen %d and missed %d of %d", seen, missed, writers*each)
	}
}

// What a broker pays for traces that nobody reads.
func TestTracesAreBoundedAndAllocateNothing(t *testing.T) {
	r := NewRing(64)
	var b Batch
	ack := Ack{At: time.Now(), Flights: []Flight{{End: 10, Sent: time.Now()}}}
	if n := testing.AllocsPerRun(1000, func() {
		b = Batch{Appended: 1}
		b.Follower(2, 10, &ack)
		b.Follower(3, 10, &ack)
		r.Add(&b)
	}); n != 0 {
		t.Errorf("%v allocations per batch", n)
	}
	const limit = 2 << 20
	if size := RingBatches * int(unsafe.Sizeof(slot{})); size > limit+limit/8 {
		t.Errorf("the ring takes %d bytes, said to be about %d", size, limit)
	}
}

func TestFollowersAreToldApart(t *testing.T) {
	t.Parallel()
	now := started.Add(time.Second)
	at := func(ms int) time.Time { return now.Add(time.Duration(ms) * time.Millisecond) }
	ack := Ack{At: at(9), Queue: time.Millisecond, Fsync: 3 * time.Millisecond, Flights: []Flight{{10, at(1)}, {20, at(2)}, {35, at(3)}}}
	tests := []struct {
		name string
		end  int64
		sent Stamp
	}{
		{name: "alone in its frame", end: 10, sent: At(at(1))},
		{name: "in a frame with others", end: 15, sent: At(at(2))},
		{name: "in a frame that is not over", end: 30, sent: At(at(3))},
		{name: "sent before anybody counted", end: 40},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b Batch
			if !b.Follower(2, tt.end, &ack) || b.Follower(2, tt.end, &ack) {
				t.Error("the first is news, the second is not")
			}
			want := Follower{ID: 2, QueueMicros: 1000, FsyncMicros: 3000, Sent: tt.sent, Acked: At(at(9))}
			if b.Followers[0] != want || b.Followers[1].Acked != 0 {
				t.Errorf("got %+v", b.Followers)
			}
		})
	}
	var b Batch
	for id := range int32(MaxFollowers + 2) {
		b.Follower(id, 10, &ack)
	}
	if b.Followers[MaxFollowers-1].ID != MaxFollowers-1 {
		t.Errorf("got %+v", b.Followers)
	}
}

func TestReportShape(t *testing.T) {
	t.Parallel()
	r := NewRing(4)
	b := Batch{
		Topic: "orders", Partition: 3, Epoch: 7, Base: 40, Count: 2, Acks: -1, Last: 2,
		Received: 1000, Began: 1010, Appended: 1030, Fsynced: 1500, Committed: 1900, Written: 1950,
	}
	b.Followers[0] = Follower{ID: 2, QueueMicros: 1, FsyncMicros: 2, Sent: 1040, Acked: 1890}
	b.Followers[1] = Follower{ID: 3, Acked: 1700}
	r.Add(&b)
	r.Add(&Batch{Topic: "orders", Acks: 1, Last: NoBroker, Received: 5, Began: 6, Appended: 7, Committed: 8, Written: 9})
	got, err := json.Marshal(r.Report(1, Query{Limit: 10}))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"schema":"chronik.trace.produce/v1","broker":1,"capacity":4,"next":2,"missed":0,"more":false,"traces":[` +
		`{"topic":"orders","partition":3,"leader_epoch":7,"base_offset":40,"count":2,"acks":-1,"received_ns":1000,"began_ns":10,"appended_ns":30,"fsynced_ns":500,"committed_ns":900,"written_ns":950,"last":2,` +
		`"followers":[{"broker":2,"sent_ns":40,"acked_ns":890,"queue_ns":1000,"fsync_ns":2000},{"broker":3,"sent_ns":null,"acked_ns":700,"queue_ns":0,"fsync_ns":0}]},` +
		`{"topic":"orders","partition":0,"leader_epoch":0,"base_offset":0,"count":0,"acks":1,"received_ns":5,"began_ns":1,"appended_ns":2,"fsynced_ns":null,"committed_ns":3,"written_ns":4,"last":null,"followers":[]}]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func BenchmarkAdd(b *testing.B) {
	r := NewRing(RingBatches)
	ack := Ack{At: time.Now(), Flights: []Flight{{End: 10, Sent: time.Now()}}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			batch := Batch{Appended: 1}
			batch.Follower(2, 10, &ack)
			batch.Follower(3, 10, &ack)
			r.Add(&batch)
		}
	})
}
