// Package settings fills flags that the command line left alone from the
// environment (CHRONIK_<FLAG>) and from a YAML file, in that order, and
// remembers where each value came from. A key nobody knows is an error: a
// setting that is silently ignored is a broker that runs with another one.
package settings

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// EnvPrefix begins the name of every environment variable.
const EnvPrefix = "CHRONIK"

// Origin is where a value came from.
type Origin string

// Origins, strongest first.
const (
	FromFlag    Origin = "flag"
	FromEnv     Origin = "environment"
	FromFile    Origin = "file"
	FromDefault Origin = "default"
)

// Setting is one flag with its value and where that came from.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin Origin `json:"origin"`
	Source string `json:"source"` // --node-id, CHRONIK_NODE_ID, broker.yaml:3
}

// aliasOf marks a flag that is another spelling of the one it names.
const aliasOf = "chronik_alias_of"

// Alias adds a hidden second spelling of a flag that fs already has.
func Alias(fs *pflag.FlagSet, alias, target string) {
	flag := *fs.Lookup(target)
	flag.Name, flag.Shorthand, flag.Hidden = alias, "", true
	flag.Annotations = map[string][]string{aliasOf: {target}}
	fs.AddFlag(&flag)
}

// EnvName returns the environment variable of a flag.
func EnvName(flag string) string {
	return EnvPrefix + "_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Key returns the name of a flag in a YAML file.
func Key(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// Apply sets every flag of fs that was not given on the command line from the
// environment, else from file (nil for none). It returns the outcome, sorted
// by name.
func Apply(fs *pflag.FlagSet, file *File) ([]Setting, error) {
	v, err := layers(fs, file)
	if err != nil {
		return nil, err
	}
	given := givenFlags(fs)
	var all []Setting
	var failed error
	fs.VisitAll(func(flag *pflag.Flag) {
		if failed != nil || flag.Annotations[aliasOf] != nil || flag.Name == "help" {
			return
		}
		s := Setting{Key: Key(flag.Name), Origin: FromDefault}
		switch {
		case given[flag.Name]:
			s.Origin, s.Source = FromFlag, "--"+flag.Name
		case os.Getenv(EnvName(flag.Name)) != "":
			s.Origin, s.Source = FromEnv, EnvName(flag.Name)
		case file.has(flag.Name):
			s.Origin, s.Source = FromFile, file.where(flag.Name)
		}
		if s.Origin == FromEnv || s.Origin == FromFile {
			// Value.Set leaves Changed alone, which keeps its meaning: given
			// on the command line.
			if err := flag.Value.Set(text(v, flag.Name)); err != nil {
				failed = fmt.Errorf("%s: invalid value %q: %w", s.Source, text(v, flag.Name), err)
				return
			}
		}
		s.Value = flag.Value.String()
		all = append(all, s)
	})
	return all, failed
}

// layers stacks flags, environment and file in viper, whose precedence is the
// one we want.
func layers(fs *pflag.FlagSet, file *File) (*viper.Viper, error) {
	v := viper.NewWithOptions(viper.KeyDelimiter("::")) // a dot in a value's key is not nesting
	v.SetEnvPrefix(EnvPrefix)
	v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	v.AutomaticEnv()
	if err := v.BindPFlags(fs); err != nil {
		return nil, fmt.Errorf("bind flags: %w", err)
	}
	if file != nil {
		if err := v.MergeConfigMap(file.values); err != nil {
			return nil, fmt.Errorf("%s: %w", file.path, err)
		}
	}
	return v, nil
}

func givenFlags(fs *pflag.FlagSet) map[string]bool {
	given := make(map[string]bool)
	fs.VisitAll(func(flag *pflag.Flag) {
		if !flag.Changed {
			return // Visit would not do: a flag is parsed through the set of the command
		}
		given[flag.Name] = true
		for _, target := range flag.Annotations[aliasOf] {
			given[target] = true
		}
	})
	return given
}

// text returns a value as the flag parser takes it: lists joined by commas.
func text(v *viper.Viper, name string) string {
	if _, list := v.Get(name).([]any); list {
		return strings.Join(v.GetStringSlice(name), ",")
	}
	return v.GetString(name)
}
