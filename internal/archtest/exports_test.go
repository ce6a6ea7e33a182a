package archtest_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// export is an exported name of a package: a top-level identifier, a method, or
// a field.
type export struct {
	src        *source
	name       string
	pos        token.Pos
	topLevel   bool
	documented bool
}

// receiver returns the name of the type that a method belongs to. It returns an
// empty string for a function.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return ""
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.ParenExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// exports lists the exported names of a file.
func exports(s *source) (list []export) {
	add := func(id *ast.Ident, name string, topLevel bool, docs ...*ast.CommentGroup) bool {
		documented := slices.ContainsFunc(docs, func(c *ast.CommentGroup) bool { return strings.TrimSpace(c.Text()) != "" })
		if id.IsExported() {
			list = append(list, export{s, name, id.Pos(), topLevel, documented})
		}
		return documented
	}
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if on := receiver(d); on == "" {
				add(d.Name, d.Name.Name, true, d.Doc)
			} else if ast.IsExported(on) {
				add(d.Name, on+"."+d.Name.Name, false, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch x := spec.(type) {
				case *ast.ValueSpec:
					for _, id := range x.Names {
						add(id, id.Name, true, d.Doc, x.Doc, x.Comment)
					}
				case *ast.TypeSpec:
					add(x.Name, x.Name.Name, true, d.Doc, x.Doc, x.Comment)
					if x.Name.IsExported() {
						list = append(list, fields(s, x)...)
					}
				}
			}
		}
	}
	return list
}

// fields lists the exported fields of a struct and the methods of an interface.
// A field on the line after a documented field shares its comment.
func fields(s *source, spec *ast.TypeSpec) (list []export) {
	var members *ast.FieldList
	switch t := spec.Type.(type) {
	case *ast.StructType:
		members = t.Fields
	case *ast.InterfaceType:
		members = t.Methods
	default:
		return nil
	}
	shared, last := false, -1
	for _, f := range members.List {
		line := s.fset.Position(f.Pos()).Line
		documented := strings.TrimSpace(f.Doc.Text()+f.Comment.Text()) != "" || shared && line == last+1
		shared, last = documented, s.fset.Position(f.End()).Line
		for _, id := range f.Names { // an embedded field is documented at its type
			if id.IsExported() {
				list = append(list, export{s, spec.Name.Name + "." + id.Name, id.Pos(), false, documented})
			}
		}
	}
	return list
}

// documentationRule finds packages and exported names without a comment. In
// internal packages, methods and fields need none.
func documentationRule(r *repo) (findings []string) {
	described := make(map[string]bool)
	packages := make(map[string]*source)
	for _, s := range r.code() {
		if s.file.Name.Name == "main" {
			continue
		}
		packages[s.dir] = s
		if strings.HasPrefix(s.file.Doc.Text(), "Package "+s.file.Name.Name+" ") {
			described[s.dir] = true
		}
		for _, e := range exports(s) {
			if !e.documented && (e.topLevel || r.room(s.dir) == nestedRoom || public(r.room(s.dir))) {
				findings = append(findings, fmt.Sprintf("%s: %s has no comment", s.at(e.pos), e.name))
			}
		}
	}
	for dir, s := range packages {
		if !described[dir] {
			findings = append(findings, fmt.Sprintf("%s: no file of the package has a comment that starts \"Package %s …\"", dir, s.file.Name.Name))
		}
	}
	slices.Sort(findings)
	return findings
}

// mutableRule finds exported variables, which any package could change. Only
// error sentinels are permitted.
func mutableRule(r *repo) (findings []string) {
	for _, s := range r.code() {
		imports := s.imports()
		for _, decl := range s.file.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.VAR {
				continue
			}
			for _, spec := range d.Specs {
				v := spec.(*ast.ValueSpec)
				for i, id := range v.Names {
					if id.IsExported() && !isSentinel(v, i, imports) {
						findings = append(findings, fmt.Sprintf("%s: the exported variable %s is not an error sentinel", s.at(id.Pos()), id.Name))
					}
				}
			}
		}
	}
	return findings
}

func isSentinel(v *ast.ValueSpec, i int, imports map[string]string) bool {
	if !strings.HasPrefix(v.Names[i].Name, "Err") {
		return false
	}
	if t, ok := v.Type.(*ast.Ident); ok && t.Name == "error" {
		return true
	}
	if v.Type != nil || i >= len(v.Values) {
		return false
	}
	call, ok := v.Values[i].(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	if !ok {
		return false
	}
	switch from := imports[pkg.Name]; {
	case from == "errors":
		return sel.Sel.Name == "New"
	case from == "fmt":
		return sel.Sel.Name == "Errorf"
	default:
		return strings.HasSuffix(from, "/internal/oautherr")
	}
}

// signatureRule finds exported declarations that mention jwx or an internal
// package. A change there would break users.
func signatureRule(r *repo) (findings []string) {
	types := make(map[string]map[string]*typeDecl) // directory to type name
	for _, s := range r.code() {
		for _, decl := range s.file.Decls {
			if d, ok := decl.(*ast.GenDecl); ok {
				for _, spec := range d.Specs {
					if t, ok := spec.(*ast.TypeSpec); ok {
						if types[s.dir] == nil {
							types[s.dir] = make(map[string]*typeDecl)
						}
						types[s.dir][t.Name.Name] = &typeDecl{t, s}
					}
				}
			}
		}
	}
	for _, s := range r.code() {
		if !public(r.room(s.dir)) && r.room(s.dir) != nestedRoom {
			continue
		}
		if slices.Contains(strings.Split(s.dir, "/"), "internal") { // of a nested module; no other module can see it
			continue
		}
		w := &signatureWalker{types: types[s.dir], seen: make(map[string]bool)}
		w.file(s)
		findings = append(findings, w.findings...)
	}
	return findings
}

type typeDecl struct {
	spec *ast.TypeSpec
	src  *source
}

// signatureWalker follows the types of exported declarations, through
// unexported types of the same package as well.
type signatureWalker struct {
	types    map[string]*typeDecl
	seen     map[string]bool
	findings []string
}

func (w *signatureWalker) file(s *source) {
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if on := receiver(d); d.Name.IsExported() && (on == "" || ast.IsExported(on)) {
				w.expr(s, d.Name.Name, d.Type)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch x := spec.(type) {
				case *ast.TypeSpec:
					if x.Name.IsExported() {
						w.typeSpec(s, x)
					}
				case *ast.ValueSpec:
					w.value(s, x)
				}
			}
		}
	}
}

func (w *signatureWalker) typeSpec(s *source, spec *ast.TypeSpec) {
	if w.seen[spec.Name.Name] {
		return
	}
	w.seen[spec.Name.Name] = true
	if spec.TypeParams != nil {
		w.expr(s, spec.Name.Name, &ast.FuncType{Params: spec.TypeParams})
	}
	w.expr(s, spec.Name.Name, spec.Type)
}

// value checks the declared type, literals and conversions. It does not know
// the result type of a call.
func (w *signatureWalker) value(s *source, v *ast.ValueSpec) {
	if !slices.ContainsFunc(v.Names, (*ast.Ident).IsExported) {
		return
	}
	if v.Type != nil {
		w.expr(s, v.Names[0].Name, v.Type)
		return
	}
	for _, value := range v.Values {
		if u, ok := value.(*ast.UnaryExpr); ok {
			value = u.X
		}
		if lit, ok := value.(*ast.CompositeLit); ok && lit.Type != nil {
			w.expr(s, v.Names[0].Name, lit.Type)
		}
	}
}

func (w *signatureWalker) expr(s *source, name string, e ast.Expr) {
	imports := s.imports()
	ast.Inspect(e, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.StructType:
			for _, f := range x.Fields.List {
				exported := slices.ContainsFunc(f.Names, (*ast.Ident).IsExported)
				if len(f.Names) == 0 {
					exported = ast.IsExported(embeddedName(f.Type))
				}
				if exported {
					w.expr(s, name, f.Type)
				}
			}
			return false
		case *ast.SelectorExpr:
			pkg, ok := x.X.(*ast.Ident)
			if !ok {
				return true
			}
			if p := imports[pkg.Name]; strings.HasPrefix(p, jwx) || slices.Contains(strings.Split(p, "/"), "internal") {
				w.findings = append(w.findings, fmt.Sprintf("%s: the exported %s mentions %s.%s", s.at(x.Pos()), name, path.Base(p), x.Sel.Name))
			}
			return false
		case *ast.Field:
			if x.Type != nil { // parameter names are not types
				w.expr(s, name, x.Type)
			}
			return false
		case *ast.Ident:
			if t := w.types[x.Name]; t != nil && !x.IsExported() {
				w.typeSpec(t.src, t.spec)
			}
		}
		return true
	})
}

func embeddedName(t ast.Expr) string {
	switch x := t.(type) {
	case *ast.StarExpr:
		return embeddedName(x.X)
	case *ast.SelectorExpr:
		return x.Sel.Name
	case *ast.IndexExpr:
		return embeddedName(x.X)
	case *ast.IndexListExpr:
		return embeddedName(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}
