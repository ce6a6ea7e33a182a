// Package archtest_test tests the architecture: imports, exported signatures,
// sizes, documentation and prose. Each rule is a function of a parsed tree.
// TestArchitecture applies the rules to this repository. TestEachRuleCanFail
// applies them to small good and bad samples.
package archtest_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	jwx        = "github.com/lestrrat-go/jwx/"
	oauth2     = "golang.org/x/oauth2"
	jsonschema = "github.com/google/jsonschema-go"
	testify    = "github.com/stretchr/testify"
)

// source is a parsed Go file.
type source struct {
	name string // path from the root of the repository
	dir  string // "." for the root
	test bool   // _test.go
	file *ast.File
	fset *token.FileSet
}

func (s *source) at(p token.Pos) string {
	return fmt.Sprintf("%s:%d", s.name, s.fset.Position(p).Line)
}

// imports maps the local name of each import to its path.
func (s *source) imports() map[string]string {
	m := make(map[string]string)
	for _, spec := range s.file.Imports {
		p := importPath(spec)
		name := path.Base(p)
		if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
			name = path.Base(path.Dir(p)) // …/jwx/v2
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		m[name] = p
	}
	return m
}

func importPath(spec *ast.ImportSpec) string {
	p, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
	return p
}

// repo is a tree of sources.
type repo struct {
	module  string   // path of the root module
	goMod   string   // text of the root go.mod
	nested  []string // directories of nested modules
	sources []*source
	texts   map[string][]byte // every text file, by path
	blobs   []blob            // every file, testdata included
}

// A blob is a file of any kind, with its first bytes and its size.
type blob struct {
	name string
	head string // at most four bytes
	size int64
}

var moduleLine = regexp.MustCompile(`(?m)^module\s+(\S+)`)

// load parses the tree. It leaves out testdata, node_modules and hidden
// directories (.ci and .github excepted).
func load(tree fs.FS) (*repo, error) {
	r := &repo{texts: make(map[string][]byte)}
	if err := r.weigh(tree); err != nil {
		return nil, err
	}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			hidden := name != "." && (base[0] == '.' || base[0] == '_') && name != ".ci" && name != ".github"
			if hidden || base == "testdata" || base == "node_modules" || base == "vendor" {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || base == "go.sum" || base == "go.work.sum" || base == ".git" { // .git is a file in a linked work tree
			return nil
		}
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		if bytes.IndexByte(data, 0) < 0 {
			r.texts[name] = data
		}
		switch {
		case name == "go.mod":
			r.goMod = string(data)
		case base == "go.mod":
			r.nested = append(r.nested, path.Dir(name))
		case path.Ext(name) == ".go":
			return r.parse(name, data)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	m := moduleLine.FindStringSubmatch(r.goMod)
	if m == nil {
		return nil, fmt.Errorf("no module line in the root's go.mod")
	}
	r.module = m[1]
	return r, nil
}

// weigh records every file of the tree, without the files of npm and git.
func (r *repo) weigh(tree fs.FS) error {
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case d.IsDir() && (base == ".git" || base == "node_modules"):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f, err := tree.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		head := make([]byte, 4)
		n, err := io.ReadFull(f, head)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		r.blobs = append(r.blobs, blob{name, string(head[:n]), info.Size()})
		return nil
	})
}

func (r *repo) parse(name string, data []byte) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, data, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	r.sources = append(r.sources, &source{
		name: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
		file: file, fset: fset,
	})
	return nil
}

// A room is a part of the tree with its own import rules. The room of a leaf is
// its top-level directory.
const (
	rootRoom     = "."
	joseRoom     = "internal/jose"
	internalRoom = "internal"
	archRoom     = "internal/archtest"
	kitRoom      = "internal/testkit"
	serverKit    = "internal/testserver" // a part of kitRoom
	specRoom     = "spec"
	commandRoom  = "cmd"
	profileRoom  = "profile"
	roleKitRoom  = "profile/internal/roletest"
	nestedRoom   = "nested module"
)

// room returns the room of a directory.
func (r *repo) room(dir string) string {
	within := func(parent string) bool { return dir == parent || strings.HasPrefix(dir, parent+"/") }
	if slices.ContainsFunc(r.nested, within) {
		return nestedRoom
	}
	if within(serverKit) {
		return kitRoom
	}
	for _, room := range []string{joseRoom, archRoom, kitRoom, roleKitRoom, internalRoom} {
		if within(room) {
			return room
		}
	}
	top, _, _ := strings.Cut(dir, "/")
	return top
}

func isLeaf(room string) bool {
	return !slices.Contains([]string{
		rootRoom, joseRoom, internalRoom, archRoom, kitRoom, specRoom, profileRoom, roleKitRoom, nestedRoom, commandRoom,
	}, room)
}

// public reports whether other modules can import the packages of a room.
func public(room string) bool { return isLeaf(room) || room == profileRoom || room == rootRoom }

// inside returns the directory of a package, and whether the package belongs to
// this repository.
func (r *repo) inside(importPath string) (string, bool) {
	if importPath == r.module {
		return ".", true
	}
	return strings.CutPrefix(importPath, r.module+"/")
}

func (r *repo) code() []*source {
	return slices.DeleteFunc(slices.Clone(r.sources), func(s *source) bool { return s.test })
}
