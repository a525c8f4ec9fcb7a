package wire

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudgetIsServedInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := budget{limit: 10}
		granted := make(chan int, 4)
		claim := func(n int) {
			if err := b.take(t.Context(), n); err != nil {
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
		b.give(8)
		if first := <-granted; first != 10 {
			t.Errorf("granted %d first, want 10", first)
		}
		b.give(10)
		b.give(<-granted)
		b.give(<-granted)
		if b.used != 0 || len(b.queue) != 0 {
			t.Errorf("%d bytes used and %d queued at the end, want none", b.used, len(b.queue))
		}
	})
}

func TestBudgetForgetsWhoGaveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := budget{limit: 10}
		if err := b.take(t.Context(), 6); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			if err := b.take(ctx, 9); err == nil {
				t.Error("9 of 10 bytes granted while 6 are taken")
			}
		}()
		synctest.Wait()
		small := make(chan error, 1)
		go func() { small <- b.take(t.Context(), 4) }() // behind the large claim
		if err := <-small; err != nil {
			t.Error(err)
		}
		b.give(6)
		b.give(4)
		if b.used != 0 || len(b.queue) != 0 {
			t.Errorf("%d bytes used and %d queued at the end, want none", b.used, len(b.queue))
		}
	})
}
