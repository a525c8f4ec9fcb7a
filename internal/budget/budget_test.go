package budget

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudgetIsServedInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(10)
		granted := make(chan int, 4)
		claim := func(n int) {
			if err := b.Take(t.Context(), n); err != nil {
				t.Error(err)
			}
			granted <- n
		}
		claim(8)
		<-granted
		for _, n := range []int{10, 1, 2} { // 1 and 2 would fit and must not overtake
			go claim(n)
			synctest.Wait()
		}
		if len(granted) != 0 {
			t.Fatalf("granted %d while 8 of 10 are taken and 10 are asked for", <-granted)
		}
		b.Give(8)
		if first := <-granted; first != 10 {
			t.Errorf("granted %d first, want 10", first)
		}
		b.Give(10)
		b.Give(<-granted)
		b.Give(<-granted)
		wantFree(t, b)
	})
}

func TestBudgetForgetsWhoGaveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(10)
		if err := b.Take(t.Context(), 6); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			if err := b.Take(ctx, 9); err == nil {
				t.Error("9 of 10 bytes granted while 6 are taken")
			}
		}()
		synctest.Wait()
		small := make(chan error, 1)
		go func() { small <- b.Take(t.Context(), 4) }() // behind the large claim
		if err := <-small; err != nil {
			t.Error(err)
		}
		b.Give(6)
		b.Give(4)
		wantFree(t, b)
	})
}

func wantFree(t *testing.T, b *Budget) {
	t.Helper()
	if used, waiting := b.Used(); used != 0 || waiting != 0 {
		t.Errorf("%d bytes used and %d claims waiting at the end, want none", used, waiting)
	}
}

// A claim of more than there is waits until nobody has any, and is granted then.
func TestALargeClaimIsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(10)
		if err := b.Take(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		large, small := make(chan error, 1), make(chan error, 1)
		go func() { large <- b.Take(t.Context(), 25) }()
		synctest.Wait()
		go func() { small <- b.Take(t.Context(), 1) }()
		synctest.Wait()
		if used, waiting := b.Used(); used != 1 || waiting != 2 {
			t.Fatalf("%d bytes used and %d claims waiting, want 1 and both", used, waiting)
		}
		b.Give(1)
		if err := <-large; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if used, waiting := b.Used(); used != 25 || waiting != 1 {
			t.Fatalf("%d bytes used and %d claims waiting, want 25 and the small one", used, waiting)
		}
		b.Give(25)
		if err := <-small; err != nil {
			t.Fatal(err)
		}
		b.Give(1)
		wantFree(t, b)
	})
}

// Each share is a part of what is left: however many took theirs, the next one
// gets some as long as there is the least.
func TestSharesLeaveRoomForMore(t *testing.T) {
	t.Parallel()
	b := New(16 << 20)
	first, ok := b.Share(50<<20, 1<<10)
	if !ok || first != 1<<20 {
		t.Errorf("the first share is %d, want a sixteenth", first)
	}
	total := first
	for i := range 100 {
		n, ok := b.Share(50<<20, 1<<10)
		if !ok || n > first || n < 1<<10 {
			t.Fatalf("share %d is %d, %t; want some, and not more than the first", i+2, n, ok)
		}
		total += n
	}
	if n, ok := b.Share(100, 1<<10); !ok || n != 100 {
		t.Errorf("a share of %d, %t, where 100 bytes are wanted", n, ok)
	}
	b.Set(16<<20 - 10)
	if n, ok := b.Share(1<<10, 1<<10); ok {
		t.Errorf("a share of %d where 10 bytes are left", n)
	}
	if n, ok := b.Share(10, 1<<10); !ok || n != 10 {
		t.Errorf("a share of %d, %t, where all that is wanted is left", n, ok)
	}
}

func TestResize(t *testing.T) {
	t.Parallel()
	b := New(10)
	if err := b.Take(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	if !b.Resize(4, 30) { // nobody else has any
		t.Error("who is alone may have more than the limit")
	}
	if !b.Resize(30, 3) {
		t.Error("it may always be less")
	}
	if err := b.Take(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	if b.Resize(3, 6) {
		t.Error("11 of 10 bytes taken")
	}
	if used, _ := b.Used(); used != 8 {
		t.Errorf("%d bytes used after a refusal, want 8 as before", used)
	}
	if !b.Resize(3, 5) {
		t.Error("10 of 10 bytes refused")
	}
}

// TestRefuse answers who waits, and nobody else.
func TestRefuse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, why := New(10), errors.New("no more")
		if err := b.Take(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		refused := make(chan error, 1)
		go func() { refused <- b.Take(t.Context(), 1) }()
		synctest.Wait()
		b.Refuse(why)
		if err := <-refused; !errors.Is(err, why) {
			t.Errorf("refused with %v, want %v", err, why)
		}
		b.Set(0)
		if err := b.Take(t.Context(), 10); err != nil {
			t.Errorf("after the refusal: %v", err)
		}
		b.Give(10)
		wantFree(t, b)
	})
}
