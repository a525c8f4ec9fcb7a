package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memoryRoot is where version 1 of the memory controller is mounted.
const memoryRoot = "/sys/fs/cgroup/memory"

// groupVariable holds the number that the names of this test program's groups
// end in: its process, as seen from outside.
const groupVariable = "CHRONIK_FAULTS_GROUP"

const groupPrefix = "chronik-faults-"

func groupOf(program int) string {
	return filepath.Join(memoryRoot, groupPrefix+strconv.Itoa(program))
}

// limitMemory makes a group for a broker. The kernel kills who goes beyond.
func limitMemory(name string, limit int64) (group string, err error) {
	program, err := strconv.Atoi(os.Getenv(groupVariable))
	if err != nil {
		return "", fmt.Errorf("%s: %w", groupVariable, err)
	}
	if _, err := os.Stat(memoryRoot); err != nil {
		return "", fmt.Errorf("no memory controller of version 1: %w", err)
	}
	group = filepath.Join(groupOf(program), name)
	if err := os.MkdirAll(group, 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(group, "memory.limit_in_bytes")
	if err := os.WriteFile(file, []byte(strconv.FormatInt(limit, 10)), 0o644); err != nil {
		return "", fmt.Errorf("limit memory to %d bytes: %w", limit, err)
	}
	return group, nil
}

// outOfMemory returns how many processes of a group the kernel has killed.
func outOfMemory(group string) (int, error) {
	text, err := os.ReadFile(filepath.Join(group, "memory.oom_control"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strconv.Atoi(strings.TrimSpace(count))
		}
	}
	return 0, errors.New("memory.oom_control counts no kills")
}

// removeGroups removes what a test program has left; its processes are gone.
func removeGroups(program int) {
	groups, err := filepath.Glob(filepath.Join(groupOf(program), "*", "cgroup.procs"))
	if err != nil {
		return
	}
	for _, procs := range groups {
		_ = os.Remove(filepath.Dir(procs)) // fails if it is in use, then the next program tries
	}
	_ = os.Remove(groupOf(program))
}

// sweepGroups removes what killed test programs have left.
func sweepGroups() {
	left, err := filepath.Glob(filepath.Join(memoryRoot, groupPrefix+"*"))
	if err != nil {
		return
	}
	for _, group := range left {
		number := strings.TrimPrefix(filepath.Base(group), groupPrefix)
		program, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join("/proc", number)); errors.Is(err, os.ErrNotExist) {
			removeGroups(program)
		}
	}
}
