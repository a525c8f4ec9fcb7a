package settings

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/chronik-project/chronik/internal/cli/spell"
)

// maxFileBytes bounds a configuration file: a wrong path may be anything.
const maxFileBytes = 1 << 20

// File is a YAML file of settings, one key for each flag.
type File struct {
	path   string
	values map[string]any // by flag name
	lines  map[string]int // by flag name
}

// UnknownKeyError is a key that no flag has.
type UnknownKeyError struct {
	Where string // broker.yaml:3
	Key   string
	Near  string // the key it may have meant; empty for none
}

// Error says where the key is.
func (e *UnknownKeyError) Error() string {
	return fmt.Sprintf("%s: unknown key %q", e.Where, e.Key)
}

// fileFlag is the flag that names a settings file, on commands that have one.
const fileFlag = "config"

// fileAnnotation marks a command's --config as the name of a settings file:
// other commands may have a flag of that name with another meaning.
const fileAnnotation = "chronik_settings_file"

// BindFile adds --config to a command whose flags can be set in a file.
func BindFile(fs *pflag.FlagSet) {
	fs.String(fileFlag, "", "YAML `FILE` of settings: the flags below, with _ for -")
	fs.Lookup(fileFlag).Annotations = map[string][]string{fileAnnotation: {"true"}}
}

// TakesFile reports whether BindFile was called on fs.
func TakesFile(fs *pflag.FlagSet) bool {
	flag := fs.Lookup(fileFlag)
	return flag != nil && flag.Annotations[fileAnnotation] != nil
}

// FileOf reads the file that --config or CHRONIK_CONFIG names. It returns nil
// when none is named.
func FileOf(fs *pflag.FlagSet) (*File, error) {
	flag := fs.Lookup(fileFlag)
	path := flag.Value.String()
	if !flag.Changed {
		path = os.Getenv(EnvName(fileFlag))
	}
	if path == "" {
		return nil, nil // no file, and no failure
	}
	return ReadFile(path, fs)
}

// ReadFile reads the settings for the flags of fs.
func ReadFile(path string, fs *pflag.FlagSet) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err // it names the file
	}
	defer func() { _ = f.Close() }() // read only
	doc := yaml.Node{}
	if err := yaml.NewDecoder(io.LimitReader(f, maxFileBytes)).Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return &File{path: path}, nil // an empty file sets nothing
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return parse(path, &doc, fs)
}

func parse(path string, doc *yaml.Node, fs *pflag.FlagSet) (*File, error) {
	file := &File{path: path, values: make(map[string]any), lines: make(map[string]int)}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: want key: value lines", path, root.Line)
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		name := strings.ReplaceAll(key.Value, "_", "-")
		where := fmt.Sprintf("%s:%d", path, key.Line)
		flag := fs.Lookup(name)
		if flag == nil || flag.Annotations[aliasOf] != nil || name == "help" || name == fileFlag {
			return nil, &UnknownKeyError{Where: where, Key: key.Value, Near: near(key.Value, fs)}
		}
		value, err := plain(node)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", where, key.Value, err)
		}
		if _, twice := file.values[name]; twice {
			return nil, fmt.Errorf("%s: key %q is set twice", where, key.Value)
		}
		file.values[name], file.lines[name] = value, key.Line
	}
	return file, nil
}

// plain returns the text of a scalar as it was written (so that 010 is not 8),
// or a list of such texts.
func plain(node *yaml.Node) (any, error) {
	switch node.Kind {
	case yaml.ScalarNode:
		return node.Value, nil
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, errors.New("want a list of plain values")
			}
			list = append(list, item.Value)
		}
		return list, nil
	default:
		return nil, errors.New("want a value or a list of values")
	}
}

func (f *File) has(name string) bool {
	if f == nil {
		return false
	}
	_, ok := f.values[name]
	return ok
}

func (f *File) where(name string) string { return fmt.Sprintf("%s:%d", f.path, f.lines[name]) }

// near returns the known key that was probably meant.
func near(key string, fs *pflag.FlagSet) string {
	var known []string
	fs.VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden && flag.Name != "help" && flag.Name != fileFlag {
			known = append(known, Key(flag.Name))
		}
	})
	return spell.Nearest(key, known)
}
