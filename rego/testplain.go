package rego

import (
	"context"
	"errors"
	"io/fs"
	"maps"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/runtime/info"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/smarthausgroup/caio/contracts"
)

// PlainOptions say how Rego that is no bundle of CAIO's is read, as the flags of `opa test` do.
type PlainOptions struct {
	Bundle       bool     // each path is a bundle in OPA's format, a folder or a tarball
	V0           bool     // the Rego is v0
	Ignore       []string // patterns of names of files and folders that are left out
	Schemas      string   // file or folder of JSON Schemas of the input and the data; "" is none
	Capabilities string   // version of OPA's, or file; "" are those of this version
}

// TestPlain runs the tests in files and folders of any Rego, with the data beside it, as `opa test` of the same version does: what is read, what is a test, with which built-in functions and under which rules it is compiled.
// The coverage is OPA's too: of all files, those of tests included. The error is [contracts.Diagnostics] if a file can't be read as what it is, or does not compile; otherwise it is of the options, a file's, or the context's.
func TestPlain(ctx context.Context, paths []string, plain PlainOptions, o TestOptions) (Report, error) {
	s, err := plain.suite(ctx, paths, o)
	if err != nil {
		return Report{}, err
	}
	defer s.store.Abort(ctx, s.txn)
	return s.report(ctx, o)
}

func (p PlainOptions) suite(ctx context.Context, paths []string, o TestOptions) (*suite, error) {
	parser := ast.ParserOptions{RegoVersion: ast.DefaultRegoVersion, ProcessAnnotation: true}
	if p.V0 {
		parser.RegoVersion = ast.RegoV0
	}
	able := ast.CapabilitiesForThisVersion()
	if p.Capabilities != "" {
		var err error
		if able, err = p.capabilities(); err != nil {
			return nil, err
		}
		parser.Capabilities = able
	}
	schemas, err := loader.Schemas(p.Schemas)
	if err != nil {
		return nil, err
	}
	runtime, err := info.New()
	if err != nil {
		return nil, err
	}
	s := &suite{runtime: runtime, covered: func(string) bool { return true }}
	if err := p.load(s, paths, parser); err != nil {
		return nil, loadFaults(err)
	}
	if s.txn, err = s.store.NewTransaction(ctx, storage.WriteParams); err != nil {
		return nil, err
	}
	s.compiler = func() *ast.Compiler {
		return ast.NewCompiler().SetErrorLimit(0).WithPathConflictsCheck(storage.NonEmpty(ctx, s.store, s.txn)).
			WithEnablePrintStatements(!o.Bench).WithCapabilities(able).WithSchemas(schemas).WithUseTypeCheckAnnotations(true)
	}
	return s, nil
}

func (p PlainOptions) capabilities() (*ast.Capabilities, error) {
	if able, err := ast.LoadCapabilitiesVersion(p.Capabilities); err == nil {
		return able, nil
	}
	return ast.LoadCapabilitiesFile(p.Capabilities)
}

// load reads files, or bundles.
func (p PlainOptions) load(s *suite, paths []string, parser ast.ParserOptions) (err error) {
	if !p.Bundle {
		s.parsed, s.store, err = tester.LoadWithParserOptions(paths, p.ignored, parser)
		return err
	}
	if s.bundles, s.store, err = tester.LoadBundlesWithParserOptions(paths, p.ignored, parser); err != nil {
		return err
	}
	s.parsed = map[string]*ast.Module{}
	for name, b := range s.bundles {
		maps.Copy(s.parsed, b.ParsedModules(name))
	}
	return nil
}

// ignored reports whether a file or folder is left out.
func (p PlainOptions) ignored(path string, info fs.FileInfo, depth int) bool {
	for _, pattern := range p.Ignore {
		if loader.GlobExcludeName(pattern, 1)(path, info, depth) {
			return true
		}
	}
	return false
}

// loadFaults are the errors of OPA's loader as diagnostics. That a file is missing is an error of its own.
func loadFaults(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	list := loader.Errors{err}
	errors.As(err, &list)
	var faults contracts.Diagnostics
	for _, one := range list {
		if errors.Is(one, fs.ErrNotExist) {
			return one
		}
		faults = append(faults, Diagnosed(one)...)
	}
	return faults
}
