package bench

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// host reads what the kernel says of this machine from a file tree laid out as
// Linux does. Elsewhere the files are missing and everything is unknown.
type host struct{ files fs.FS }

func hostFiles() host { return host{os.DirFS("/")} }

// line returns the first line of a file, or nil.
func (h host) line(name string) *string {
	p, err := fs.ReadFile(h.files, name)
	if err != nil {
		return nil
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(p)), "\n")
	if line == "" {
		return nil
	}
	return &line
}

// field returns what follows name and a colon in a file, or nil.
func (h host) field(file, name string) *string {
	p, err := fs.ReadFile(h.files, file)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(p)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			value = strings.TrimSpace(value)
			return &value
		}
	}
	return nil
}

func (h host) kernel() *string   { return h.line("proc/sys/kernel/osrelease") }
func (h host) cpuModel() *string { return h.field("proc/cpuinfo", "model name") }

func (h host) governor() *string {
	return h.line("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
}

func (h host) clockSource() *string {
	return h.line("sys/devices/system/clocksource/clocksource0/current_clocksource")
}

func (h host) memoryBytes() *int64 {
	text := h.field("proc/meminfo", "MemTotal")
	if text == nil {
		return nil
	}
	kib, err := strconv.ParseInt(strings.TrimSuffix(*text, " kB"), 10, 64)
	if err != nil {
		return nil
	}
	n := kib * 1024
	return &n
}

// load returns how many processes wanted a core in the last minute.
func (h host) load() *float64 {
	text := h.line("proc/loadavg")
	if text == nil {
		return nil
	}
	first, _, _ := strings.Cut(*text, " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return nil
	}
	return &load
}

// cpuQuota returns how many cores the cgroup allows, or nil for no limit.
func (h host) cpuQuota() *float64 {
	text := h.line("sys/fs/cgroup/cpu.max")
	if text == nil {
		return nil
	}
	quotaText, periodText, _ := strings.Cut(*text, " ")
	quota, err := strconv.ParseFloat(quotaText, 64)
	if err != nil {
		return nil // "max"
	}
	period, err := strconv.ParseFloat(periodText, 64)
	if err != nil || period <= 0 {
		return nil
	}
	cores := quota / period
	return &cores
}

// filesystem returns the type of the file system that holds dir, or nil.
func (h host) filesystem(dir string) *string {
	if !path.IsAbs(dir) {
		return nil
	}
	p, err := fs.ReadFile(h.files, "proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var longest, kind string
	for lines := bufio.NewScanner(bytes.NewReader(p)); lines.Scan(); {
		// "36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/sda1 rw"
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 5 {
			continue
		}
		// A later mount on the same point hides the earlier one.
		if point := fields[4]; within(dir, point) && len(point) >= len(longest) {
			longest = point
			kind, _, _ = strings.Cut(after, " ")
		}
	}
	if kind == "" {
		return nil
	}
	return &kind
}

func within(dir, point string) bool {
	return point == "/" || dir == point || strings.HasPrefix(dir, point+"/")
}
