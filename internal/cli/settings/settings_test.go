package settings_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/chronik-project/chronik/internal/cli/settings"
)

// flags is a command with a flag of each kind that brokers have.
func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("start", pflag.ContinueOnError)
	settings.BindFile(fs)
	fs.Int("node-id", 1, "")
	fs.String("data-dir", "data", "")
	fs.StringSlice("peers", nil, "")
	fs.Bool("insecure-peers", false, "")
	settings.Alias(fs, "id", "node-id")
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "broker.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	for _, tc := range []struct {
		name   string
		args   []string
		env    map[string]string
		file   string
		key    string
		want   string
		origin settings.Origin
		source string
	}{
		{name: "default", key: "node_id", want: "1", origin: settings.FromDefault},
		{name: "file", file: "# a comment\nnode_id: 2\n", key: "node_id", want: "2", origin: settings.FromFile, source: "broker.yaml:2"},
		{name: "file with dashes", file: "node-id: 2\n", key: "node_id", want: "2", origin: settings.FromFile, source: "broker.yaml:1"},
		{name: "environment over file", env: map[string]string{"CHRONIK_NODE_ID": "3"}, file: "node_id: 2\n", key: "node_id", want: "3", origin: settings.FromEnv, source: "CHRONIK_NODE_ID"},
		{name: "flag over environment", args: []string{"--node-id", "4"}, env: map[string]string{"CHRONIK_NODE_ID": "3"}, key: "node_id", want: "4", origin: settings.FromFlag, source: "--node-id"},
		{name: "alias counts as the flag", args: []string{"--id", "5"}, env: map[string]string{"CHRONIK_NODE_ID": "3"}, key: "node_id", want: "5", origin: settings.FromFlag, source: "--node-id"},
		{name: "empty environment is unset", env: map[string]string{"CHRONIK_NODE_ID": ""}, key: "node_id", want: "1", origin: settings.FromDefault},
		{name: "list in a file", file: "peers:\n  - 1@a:1\n  - 2@b:2\n", key: "peers", want: "[1@a:1,2@b:2]", origin: settings.FromFile, source: "broker.yaml:1"},
		{name: "list as text in a file", file: "peers: 1@a:1,2@b:2\n", key: "peers", want: "[1@a:1,2@b:2]", origin: settings.FromFile, source: "broker.yaml:1"},
		{name: "list in the environment", env: map[string]string{"CHRONIK_PEERS": "1@a:1,2@b:2"}, key: "peers", want: "[1@a:1,2@b:2]", origin: settings.FromEnv, source: "CHRONIK_PEERS"},
		{name: "boolean", file: "insecure_peers: true\n", key: "insecure_peers", want: "true", origin: settings.FromFile, source: "broker.yaml:1"},
		{name: "text that looks like a number stays as written", file: "data_dir: 010\n", key: "data_dir", want: "010", origin: settings.FromFile, source: "broker.yaml:1"},
		{name: "empty file", file: "# nothing\n", key: "node_id", want: "1", origin: settings.FromDefault},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, value := range tc.env {
				t.Setenv(name, value)
			}
			args := tc.args
			if tc.file != "" {
				args = append(args, "--config", write(t, tc.file))
			}
			fs := flags(t, args...)
			file, err := settings.FileOf(fs)
			if err != nil {
				t.Fatal(err)
			}
			all, err := settings.Apply(fs, file)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range all {
				if s.Key != tc.key {
					continue
				}
				s.Source = strings.TrimPrefix(s.Source, filepath.Dir(s.Source)+"/")
				if want := (settings.Setting{Key: tc.key, Value: tc.want, Origin: tc.origin, Source: tc.source}); s != want {
					t.Errorf("got %+v, want %+v", s, want)
				}
				if got := fs.Lookup(strings.ReplaceAll(tc.key, "_", "-")).Value.String(); got != tc.want {
					t.Errorf("the flag is %q, want %q", got, tc.want)
				}
				return
			}
			t.Errorf("no setting %q in %+v", tc.key, all)
		})
	}
}

func TestFileNamedInTheEnvironment(t *testing.T) {
	t.Setenv("CHRONIK_CONFIG", write(t, "node_id: 9\n"))
	fs := flags(t)
	file, err := settings.FileOf(fs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := settings.Apply(fs, file); err != nil {
		t.Fatal(err)
	}
	if got := fs.Lookup("node-id").Value.String(); got != "9" {
		t.Errorf("node-id %s, want 9", got)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, file, want, near string }{
		{"unknown key", "data_dir: x\nnode_idd: 2\n", `broker.yaml:2: unknown key "node_idd"`, "node_id"},
		{"nothing near", "retention: 2\n", `unknown key "retention"`, ""},
		{"an alias is no key", "id: 2\n", `unknown key "id"`, ""},
		{"the file names itself", "config: x\n", `unknown key "config"`, ""},
		{"twice", "node_id: 2\nnode-id: 3\n", "set twice", ""},
		{"nested", "peers:\n  a: b\n", "want a value or a list", ""},
		{"list of lists", "peers:\n  - [a]\n", "list of plain values", ""},
		{"a list at the top", "- a\n", "want key: value", ""},
		{"not YAML", "a: [\n", "broker.yaml", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := settings.FileOf(flags(t, "--config", write(t, tc.file)))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want %q", err, tc.want)
			}
			if unknown, ok := errors.AsType[*settings.UnknownKeyError](err); ok && unknown.Near != tc.near {
				t.Errorf("near %q, want %q", unknown.Near, tc.near)
			}
		})
	}
	if _, err := settings.FileOf(flags(t, "--config", "/no/such/file")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestABadValueNamesItsSource(t *testing.T) {
	t.Setenv("CHRONIK_NODE_ID", "many")
	if _, err := settings.Apply(flags(t), nil); err == nil || !strings.Contains(err.Error(), `CHRONIK_NODE_ID: invalid value "many"`) {
		t.Errorf("error %v", err)
	}
}

func TestOnlyAMarkedConfigFlagIsAFile(t *testing.T) {
	t.Parallel()
	fs := pflag.NewFlagSet("create", pflag.ContinueOnError)
	fs.StringArray("config", nil, "")
	if settings.TakesFile(fs) {
		t.Error("--config of another meaning is taken for a file")
	}
	if !settings.TakesFile(flags(t)) {
		t.Error("--config of BindFile is not taken for a file")
	}
}
