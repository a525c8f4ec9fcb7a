package api

import (
	"context"

	"github.com/chronik-project/chronik/internal/cluster"
)

// awaitIndex waits until this broker knows the metadata at index and its
// partitions have acted on it.
func (t *Table) awaitIndex(ctx context.Context, index uint64) error {
	err := t.awaitImage(ctx, func(img *cluster.Image) bool { return img.Index() >= index })
	for err == nil {
		applied, changed := t.o.Partitions.Applied()
		if applied >= index {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return err
}

// awaitTopic waits until this broker knows a topic, and its partitions do.
func (t *Table) awaitTopic(ctx context.Context, name string) error {
	var index uint64
	err := t.awaitImage(ctx, func(img *cluster.Image) bool {
		index = img.Index()
		return topicByName(img, name) != nil
	})
	if err != nil {
		return err
	}
	return t.awaitIndex(ctx, index)
}

// awaitImage waits for an image that is as wanted.
func (t *Table) awaitImage(ctx context.Context, wanted func(*cluster.Image) bool) error {
	for {
		img, changed := t.o.Metadata.Watch()
		if wanted(img) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
