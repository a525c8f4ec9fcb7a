package controller

import (
	"context"
	"testing"
	"time"
)

// TestImagesComeFromAnybody: a broker that is cut off from the controller gets
// metadata from another one, and only what it does not have.
func TestImagesComeFromAnybody(t *testing.T) {
	run(t, 3, nil, func(t *testing.T, b *bed) {
		b.store.Elect(1)
		b.net.Cut("b1", "b3")
		b.net.Cut("b3", "b1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		want := b.store.Image()
		got, err := b.brokers[3].client.NewerImage(ctx, 2, want.Index()-1)
		if err != nil || got == nil || got.Index() != want.Index() || len(got.Brokers()) != len(want.Brokers()) {
			t.Errorf("image %+v, error %v, want index %d", got, err, want.Index())
		}
		if got, err := b.brokers[3].client.NewerImage(ctx, 2, want.Index()); err != nil || got != nil {
			t.Errorf("image %+v, error %v, want none that is newer", got, err)
		}
		if _, err := b.brokers[3].client.NewerImage(ctx, 1, 0); err == nil {
			t.Error("an image from a broker that is cut off")
		}
	})
}
