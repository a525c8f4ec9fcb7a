package archtest

import (
	"fmt"
	"go/ast"
	"io/fs"
	"path"
	"regexp"
	"testing"
)

// recordPath is the document that follows a record through the broker.
const recordPath = "docs/life-of-a-record.md"

// named is a piece of code in a document: `pkg.Func`, `pkg.Type`,
// `pkg.(*Type).Method`, `pkg.Type.Method`, each with or without arguments.
var named = regexp.MustCompile("`([a-z][a-z0-9]*)\\.(?:\\(\\*?([A-Za-z]\\w*)\\)\\.)?([A-Za-z]\\w*)(?:\\.([A-Za-z]\\w*))?(?:\\([^`]*)?`")

// declarations returns, for every internal package by its last path element,
// the names it declares: F, T, T.Method, T.field.
func declarations(t *tree) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for _, src := range t.sources {
		dir := path.Dir(src.name)
		if _, ok := internalPackage(dir); !ok || src.test {
			continue
		}
		names := all[path.Base(dir)]
		if names == nil {
			names = map[string]bool{}
			all[path.Base(dir)] = names
		}
		for _, decl := range src.file.Decls {
			declared(decl, names)
		}
	}
	return all
}

func declared(decl ast.Decl, names map[string]bool) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			names[d.Name.Name] = true
			return
		}
		names[receiver(d.Recv.List[0].Type)+"."+d.Name.Name] = true
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				names[s.Name.Name] = true
				members(s, names)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					names[name.Name] = true
				}
			}
		}
	}
}

// members adds the fields of a struct and the methods of an interface.
func members(spec *ast.TypeSpec, names map[string]bool) {
	var fields *ast.FieldList
	switch typ := spec.Type.(type) {
	case *ast.StructType:
		fields = typ.Fields
	case *ast.InterfaceType:
		fields = typ.Methods
	default:
		return
	}
	for _, field := range fields.List {
		for _, name := range field.Names {
			names[spec.Name.Name+"."+name.Name] = true
		}
	}
}

func receiver(expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	default:
		return ""
	}
}

// namedComplaints checks that what a document says of the internal packages in
// code quotes exists, and returns how many functions and types it names.
func namedComplaints(t *tree, document string) (complaints []string, count int, err error) {
	text, err := fs.ReadFile(t.files, document)
	if err != nil {
		return nil, 0, err
	}
	known := declarations(t)
	for _, m := range named.FindAllStringSubmatch(string(text), -1) {
		names, ok := known[m[1]]
		if !ok {
			continue // not a package of this repository: os.Rename, a file name
		}
		want := m[3]
		switch {
		case m[2] != "":
			want = m[2] + "." + m[3]
		case m[4] != "":
			want = m[3] + "." + m[4]
		}
		count++
		if !names[want] {
			complaints = append(complaints, fmt.Sprintf("%s names %s, but package %s declares no %s", document, m[0], m[1], want))
		}
	}
	return complaints, count, nil
}

func TestDocumentsNameWhatExists(t *testing.T) {
	t.Parallel()
	repo := repository(t)
	for _, document := range documents(t, repo) {
		complaints, _, err := namedComplaints(repo, document)
		if err != nil {
			t.Fatal(err)
		}
		expectNone(t, complaints)
	}
}
