package bench

import (
	"testing"
	"testing/fstest"
)

func TestHostReadsWhatLinuxSays(t *testing.T) {
	t.Parallel()
	h := host{fstest.MapFS{
		"proc/sys/kernel/osrelease": {Data: []byte("6.18.1\n")},
		"proc/cpuinfo":              {Data: []byte("processor\t: 0\nmodel name\t: Fast CPU: 9000\n\nprocessor\t: 1\n")},
		"proc/meminfo":              {Data: []byte("MemTotal:        1024 kB\nMemFree: 1 kB\n")},
		"sys/fs/cgroup/cpu.max":     {Data: []byte("150000 100000\n")},
		"proc/loadavg":              {Data: []byte("0.25 1.00 2.00 1/100 4242\n")},
		"proc/self/mountinfo": {Data: []byte(
			"1 0 0:1 / / rw - ext4 /dev/root rw\n" +
				"2 1 0:2 / /data rw,noatime shared:1 - xfs /dev/sdb rw\n" +
				"3 1 0:3 / /database rw - btrfs /dev/sdc rw\n" +
				"4 2 0:4 / /data/fast rw - tmpfs tmpfs rw\n" +
				"5 1 0:5 / /data rw - zfs pool rw\n" + // mounted over
				"garbage\n")},
	}}
	for _, tt := range []struct {
		name string
		got  *string
		want string
	}{
		{name: "kernel", got: h.kernel(), want: "6.18.1"},
		{name: "cpu", got: h.cpuModel(), want: "Fast CPU: 9000"},
		{name: "root", got: h.filesystem("/home/x"), want: "ext4"},
		{name: "a name that starts alike", got: h.filesystem("/databases"), want: "ext4"},
		{name: "the later mount hides", got: h.filesystem("/data/slow"), want: "zfs"},
		{name: "the deeper mount wins", got: h.filesystem("/data/fast/1"), want: "tmpfs"},
		{name: "a mount point itself", got: h.filesystem("/database"), want: "btrfs"},
	} {
		if tt.got == nil || *tt.got != tt.want {
			t.Errorf("%s is %v, want %s", tt.name, tt.got, tt.want)
		}
	}
	if n := h.memoryBytes(); n == nil || *n != 1024*1024 {
		t.Errorf("memory is %v", n)
	}
	if l := h.load(); l == nil || *l != 0.25 {
		t.Errorf("load is %v", l)
	}
	if q := h.cpuQuota(); q == nil || *q != 1.5 {
		t.Errorf("quota is %v", q)
	}
}

func TestUnknownHostsAreNil(t *testing.T) {
	t.Parallel()
	for _, h := range []host{
		{fstest.MapFS{}},
		{fstest.MapFS{
			"proc/sys/kernel/osrelease": {Data: []byte("\n")}, "proc/cpuinfo": {Data: []byte("nothing")},
			"proc/meminfo": {Data: []byte("MemTotal: many\n")}, "sys/fs/cgroup/cpu.max": {Data: []byte("max 100000\n")},
			"proc/self/mountinfo": {Data: []byte("- - -\n")}, "proc/loadavg": {Data: []byte("busy\n")},
		}},
	} {
		if h.kernel() != nil || h.cpuModel() != nil || h.memoryBytes() != nil || h.cpuQuota() != nil || h.load() != nil ||
			h.governor() != nil || h.clockSource() != nil || h.filesystem("/x") != nil || h.filesystem("relative") != nil {
			t.Errorf("%v: something is known", h)
		}
	}
}
