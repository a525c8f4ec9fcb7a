package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the import path that every package of the repository starts with.
const module = "github.com/chronik-project/chronik"

// source is one parsed Go file.
type source struct {
	name string // slash-separated, from the repository's root
	test bool
	file *ast.File
}

// tree is the repository as the rules see it.
type tree struct {
	files   fs.FS
	fset    *token.FileSet
	sources []source // sorted by name
}

// load parses every Go file below the root of files. Directories that the go
// command itself ignores are left out.
func load(files fs.FS) (*tree, error) {
	t := &tree{files: files, fset: token.NewFileSet()}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if ignoredDir(entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(t.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		t.sources = append(t.sources, source{name: name, test: strings.HasSuffix(name, "_test.go"), file: file})
		return nil
	})
	return t, err
}

func ignoredDir(name string) bool {
	return name == "testdata" || name != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_"))
}

// repository loads the tree that this test is part of.
func repository(t *testing.T) *tree {
	t.Helper()
	loaded, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatalf("load the repository: %v", err)
	}
	return loaded
}

// packages groups the sources by directory.
func (t *tree) packages() map[string][]source {
	byDir := map[string][]source{}
	for _, src := range t.sources {
		dir := path.Dir(src.name)
		byDir[dir] = append(byDir[dir], src)
	}
	return byDir
}

// imports returns the import paths of a file.
func (s source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// pos is "file:line" of a node, for complaints.
func (t *tree) pos(node ast.Node) string {
	p := t.fset.Position(node.Pos())
	return p.Filename + ":" + strconv.Itoa(p.Line)
}

// internalPackage returns the path of a package below internal/, and whether
// the import path or directory names one.
func internalPackage(p string) (string, bool) {
	p = strings.TrimPrefix(p, module+"/")
	return strings.CutPrefix(p, "internal/")
}

// expectNone reports every complaint of a rule that the repository must keep.
func expectNone(t *testing.T, complaints []string) {
	t.Helper()
	slices.Sort(complaints)
	for _, c := range complaints {
		t.Error(c)
	}
}
