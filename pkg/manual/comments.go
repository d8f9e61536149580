package manual

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"strings"
)

// typeDoc is what is said of a type and, if it is a struct, of its fields, by Go name.
type typeDoc struct {
	text   string
	fields map[string]string
	of     string // a type that is a struct under another name: that of the struct
}

// readDocs reads the doc comments of all types in the Go files in the root of sources.
func readDocs(sources fs.FS) (map[string]typeDoc, error) {
	docs := map[string]typeDoc{}
	paths, err := fs.Glob(sources, "*.go")
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		src, err := fs.ReadFile(sources, path)
		if err != nil {
			return nil, fmt.Errorf("reading doc comments: %w", err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("reading doc comments: %w", err)
		}
		collectDocs(docs, file)
	}
	for name, d := range docs {
		if d.of != "" {
			d.fields = docs[d.of].fields
			docs[name] = d
		}
	}
	return docs, nil
}

// collectDocs adds the types of a file.
func collectDocs(docs map[string]typeDoc, file *ast.File) {
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, spec := range gen.Specs {
			spec := spec.(*ast.TypeSpec)
			d := typeDoc{text: spec.Doc.Text(), fields: map[string]string{}}
			if d.text == "" {
				d.text = gen.Doc.Text()
			}
			switch typ := spec.Type.(type) {
			case *ast.Ident:
				d.of = typ.Name
			case *ast.StructType:
				for _, field := range typ.Fields.List {
					said := field.Doc.Text()
					if said == "" {
						said = field.Comment.Text()
					}
					for _, name := range field.Names {
						d.fields[name.Name] = said
					}
				}
			}
			docs[spec.Name.Name] = d
		}
	}
}

// sentence returns the first sentence of a doc comment.
func sentence(text string) string {
	text, _, _ = strings.Cut(text, "\n\n")
	first, _, _ := strings.Cut(strings.ReplaceAll(text, "\n", " ")+" ", ". ")
	return strings.TrimSuffix(strings.TrimSpace(first), ".") + "."
}
