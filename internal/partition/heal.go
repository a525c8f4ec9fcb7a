package partition

// heal starts replicas anew that were found damaged while the broker runs, as
// its next start would. First the files are moved aside, behind a marker. Then
// the empty log waits until nothing can take it for the one that it replaces:
//
//   - the metadata has taken this broker out of ISR and ELR, so that nobody elects
//     it and no acknowledgement counts on it;
//   - the partition is in a later leader epoch than any that the failed replica
//     was part of. Sessions, acknowledgements and in-sync proposals are of one
//     epoch, so none from before can bring the broker back.
//
// The controller does both at once, by FailReplicas, when a heartbeat lists the
// replica. Only a session that the empty log opens makes it count again.
func (t *Table) heal() {
	for _, r := range t.chores.takeDamaged() {
		switch again, err := t.healOne(r); {
		case noSpace(err): // there may be room for the marker later
			t.chores.damage(r)
		case err != nil:
			t.o.Logger.Error("a damaged replica cannot be started anew before the next start of the broker", r.attrs("error", err)...)
		case again:
			t.chores.damage(r)
		}
	}
}

// healOne does what can be done now; again says that something is left.
func (t *Table) healOne(r *Replica) (again bool, err error) {
	if now, ok := t.Get(r.tp); !ok || now != r {
		return false, nil // removed, or replaced by recovery
	}
	if !r.aside {
		if err := t.putAside(r); err != nil {
			return false, err
		}
	}
	t.applying.Lock()
	defer t.applying.Unlock()
	if now, ok := t.Get(r.tp); !ok || now != r {
		return false, nil // removed
	}
	img, registered := t.image()
	topic, p, ok := img.Partition(r.tp)
	if !ok || !registered || !r.forgotten(assigned(img, topic, p)) {
		return true, nil
	}
	fresh := t.empty(r.tp, topic.Name, topic.Config().SegmentBytes)
	fresh.maxSeenEpoch = r.maxSeenEpoch // which is final
	if fresh.failed == "" {
		if err := t.startAnew(r.tp); err != nil {
			return false, err
		}
	}
	t.insert(fresh)
	t.reported = append(t.reported, r.tp)
	fresh.become(img, assigned(img, topic, p), registered)
	r.mu.Lock()
	r.wakeWatchers() // whoever waits here should wait there
	r.mu.Unlock()
	t.o.Logger.Info("damaged replica starts anew", fresh.attrs("epoch", int64(p.LeaderEpoch))...)
	return false, nil
}

// putAside moves the files of a damaged replica away.
func (t *Table) putAside(r *Replica) error {
	r.files.Lock()
	defer r.files.Unlock()
	r.mu.Lock()
	why, removed := r.failed, r.removed
	r.mu.Unlock()
	if removed {
		return nil
	}
	if err := t.moveAside(r, why); err != nil {
		return err
	}
	r.marked, r.aside = true, true
	return nil
}

// forgotten reports whether nothing that this replica ever told anybody counts.
func (r *Replica) forgotten(a assignment) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Forgotten(a.part, r.t.o.Self, r.maxSeenEpoch)
}
