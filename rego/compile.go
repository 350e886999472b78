package rego

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/smarthausgroup/caio/contracts"
)

// Options are what policies read besides their input: the tenant's settings at data.caio.settings, and other data, both merged over the bundles' own (spec/policy.md).
// Values are nil, bool, int64, [contracts.Decimal], string, []any and map[string]any.
type Options struct {
	Settings map[string]any
	Data     map[string]any
}

// Compile compiles bundles together, under the rules of spec/policy.md, and reports every fault that it finds, in order of position; the policies are nil if one is an error. The order of the bundles does not matter.
func Compile(bundles []*Bundle, o Options) (*Policies, contracts.Diagnostics) {
	return analyse(bundles, o).finish()
}

// finish prepares the policies of what has no error.
func (c *compilation) finish() (*Policies, contracts.Diagnostics) {
	if c.faults.HasErrors() {
		return nil, c.faults
	}
	p, err := c.policies()
	if err != nil {
		c.upstream(err, "")
		return nil, c.faults
	}
	return p, c.faults
}

// compilation is one run of [Compile].
type compilation struct {
	bundles []*Bundle
	modules []*module // in order of name
	data    map[string]any
	maps    []dataMap // what of it stands in files
	schemas []dataSchema
	packs   []*pack // in order of package
	groups  map[contracts.Family]*ast.Compiler
	faults  contracts.Diagnostics

	thorough bool // warnings that don't keep a bundle from being used are wanted too

	pinned map[contracts.Position]string // operands to which pinZone adds 0, with the name of the function
}

// analyse does all of the work that can find a fault.
func analyse(bundles []*Bundle, o Options) *compilation { return examine(bundles, o, false) }

// examine does it, with the warnings of [Check] where it is to be thorough.
func examine(bundles []*Bundle, o Options, thorough bool) *compilation {
	c := &compilation{bundles: slices.Clone(bundles), thorough: thorough, groups: map[contracts.Family]*ast.Compiler{}, pinned: map[contracts.Position]string{}}
	slices.SortFunc(c.bundles, func(a, b *Bundle) int { return strings.Compare(a.Name, b.Name) })
	c.checkFiles()
	if !c.checkRoots() { // everything else would be told of each of the two
		c.sortFaults()
		return c
	}
	c.readData(o)
	if !c.parse() || !c.measure() { // what other files say of one that can't be read is no fault of theirs
		c.sortFaults()
		return c
	}
	c.checkPackages()
	c.checkData()
	c.findConstraints()
	c.compileFamilies()
	c.compileTests()
	if thorough {
		c.checkShadowed()
		c.checkTested()
	}
	c.applyIgnores()
	c.sortFaults()
	return c
}

// checkRoots refuses bundles that lay claim to the same place. It is false if two name the same as their own, as two versions of one do.
func (c *compilation) checkRoots() (disjoint bool) {
	disjoint = true
	for i, b := range c.bundles {
		for _, other := range c.bundles[:i] {
			if other.Name == b.Name {
				c.faults.Errorf("bundle-name", "", contracts.Position{File: b.Name}, "two bundles have the name %q", b.Name)
			}
			disjoint = c.checkDisjoint(b, other) && disjoint
		}
	}
	return disjoint
}

func (c *compilation) checkDisjoint(b, other *Bundle) bool {
	disjoint := true
	for _, pair := range [][2]*Bundle{{b, other}, {other, b}} {
		if whole := pair[0]; slices.Contains(whole.Roots, "") {
			c.faults.Errorf("manifest-root", "", contracts.Position{File: place(whole.Name, manifestFile)},
				`the bundle %s does not say which roots are its own, so it claims those of %s too: name them in a .manifest, as in {"roots": ["caio/policy/%s"]}`, whole.Name, pair[1].Name, path.Base(whole.Name))
			return true
		}
	}
	for _, root := range b.Roots {
		for _, taken := range other.Roots {
			if overlap(root, taken) {
				disjoint = false
				c.faults = append(c.faults, contracts.Diagnostic{
					Severity: contracts.SeverityError, Code: "manifest-root", Pos: contracts.Position{File: place(b.Name, manifestFile)},
					Summary: fmt.Sprintf("the root %q overlaps the root %q of the bundle %s", root, taken, other.Name),
					Detail:  fmt.Sprintf("A new version of a bundle takes its place, under its name: did you mean %s alone, or, of one that is pushed, --name %s?", path.Base(b.Name), path.Base(other.Name)),
				})
			}
		}
	}
	return disjoint
}

// compileFamilies compiles the packages of each family, and what they need, with the schema of what that family sees.
func (c *compilation) compileFamilies() {
	read, told := map[contracts.Position]bool{}, true
	for _, group := range [][]contracts.Family{{contracts.StageSafety}, {contracts.StagePolicy, contracts.StageTraits}} {
		modules := c.closure(func(m *module) bool { return slices.Contains(group, family(m.pkg)) })
		if len(modules) == 0 {
			continue
		}
		compiler := c.compile(modules, &checker{compilation: c, input: inputSchema(group[0])}, capabilities(), nil)
		for _, f := range group {
			c.groups[f] = compiler
		}
		told = c.noteRead(compiler, read) && told
	}
	if told {
		c.checkRead(read)
	}
}

// compileTests compiles everything, files of tests included.
func (c *compilation) compileTests() {
	if !slices.ContainsFunc(c.modules, func(m *module) bool { return m.test }) {
		return
	}
	c.compile(c.modules, c.testChecker(), testCapabilities(), testingModule())
}

func (c *compilation) testChecker() *checker {
	return &checker{compilation: c, input: inputSchema(contracts.StagePolicy), tests: true}
}

// compile runs OPA's compiler over some modules, and another one without a bundle, which may be nil.
func (c *compilation) compile(modules []*module, k *checker, able *ast.Capabilities, extra *ast.Module) *ast.Compiler {
	compiler, parsed := c.prepare(modules, k, able, extra)
	compiler.Compile(parsed)
	if compiler.Failed() {
		c.upstream(compiler.Errors, "")
	}
	return compiler
}

// prepare makes the compiler, and all that it is to compile.
func (c *compilation) prepare(modules []*module, k *checker, able *ast.Capabilities, extra *ast.Module) (*ast.Compiler, map[string]*ast.Module) {
	schemas := ast.NewSchemaSet()
	schemas.Put(ast.SchemaRootRef, simplified(k.input))
	parsed := c.describeData(modules, schemas)
	for _, m := range modules {
		parsed[m.name] = m.ast
	}
	if extra != nil {
		parsed[testingPackage] = extra
	}
	compiler := ast.NewCompiler().WithStrict(true).WithCapabilities(able).WithSchemas(schemas).WithUseTypeCheckAnnotations(true).WithEnablePrintStatements(k.tests)
	compiler.SetErrorLimit(0)
	compiler.WithStageAfterID(ast.StageResolveRefs, ast.CompilerStageDefinition{Name: "CheckReferences", MetricName: "caio_check_references", Stage: k.check})
	return compiler, parsed
}

// describeData tells OPA's type checker what is in data outside the packages: a package that holds nothing but annotations does, for each first step of the others' names.
func (c *compilation) describeData(modules []*module, schemas *ast.SchemaSet) map[string]*ast.Module {
	union := map[string]any{}
	for _, s := range c.schemas {
		union = united(union, simplified(s.schema))
	}
	var lines []string
	var describe func(node map[string]any, path string)
	describe = func(node map[string]any, path string) {
		properties, _ := node["properties"].(map[string]any)
		if path == "" || slices.ContainsFunc(c.modules, func(m *module) bool { return within(m.pkg, path) }) {
			for _, name := range sortedKeys(properties) {
				describe(properties[name].(map[string]any), strings.TrimPrefix(path+"/"+name, "/"))
			}
			return
		}
		reference := ast.DefaultRootRef
		for step := range strings.SplitSeq(path, "/") {
			reference = reference.Append(ast.StringTerm(step))
		}
		name := fmt.Sprintf("data_%d", len(lines))
		schemas.Put(ast.SchemaRootRef.Append(ast.StringTerm(name)), node)
		lines = append(lines, fmt.Sprintf("# - %v: schema.%s\n", reference, name))
	}
	describe(union, "")
	parsed := map[string]*ast.Module{}
	if len(lines) == 0 {
		return parsed
	}
	for _, m := range modules {
		top := m.ast.Package.Path[:2].String()
		name := "schemas of " + top
		if parsed[name] == nil {
			text := "# METADATA\n# scope: subpackages\n# schemas:\n" + strings.Join(lines, "") + "package " + strings.TrimPrefix(top, "data.") + "\n"
			parsed[name] = ast.MustParseModuleWithOpts(text, ast.ParserOptions{ProcessAnnotation: true})
		}
	}
	return parsed
}

// sortFaults puts them in order of position, each once. What OPA says of a reference that is already reported is left out.
func (c *compilation) sortFaults() {
	reported := map[string]bool{}
	line := func(d contracts.Diagnostic) string { return fmt.Sprint(d.Pos.File, ":", d.Pos.Line) }
	for _, d := range c.faults {
		switch d.Code {
		case "unknown-field", "uncovered-data", "testing", "type-mismatch":
			reported[line(d)] = true
		}
	}
	c.faults = slices.DeleteFunc(c.faults, func(d contracts.Diagnostic) bool {
		return (d.Code == "type-error" && (strings.HasPrefix(d.Summary, "undefined ") || strings.HasPrefix(d.Summary, "match error")) || d.Code == "recursion-error") && reported[line(d)]
	})
	slices.SortStableFunc(c.faults, func(a, b contracts.Diagnostic) int {
		return cmp.Or(strings.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Column, b.Pos.Column), strings.Compare(a.Code, b.Code), strings.Compare(a.Summary, b.Summary))
	})
	c.faults = slices.Compact(c.faults)
}

// store holds the data, converted to OPA's values once.
func (c *compilation) store() storage.Store {
	return inmem.NewFromObjectWithOpts(c.data, inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
}

// policies prepares the queries of every family.
func (c *compilation) policies() (*Policies, error) {
	p := &Policies{families: map[contracts.Family]*evaluator{}, constraints: []contracts.Constraint{}}
	store := c.store()
	for _, f := range families {
		var packs []*pack
		for _, k := range c.packs {
			if k.family == f {
				packs = append(packs, k)
			}
		}
		if len(packs) == 0 {
			continue
		}
		e, err := newEvaluator(context.Background(), packs, c.groups[f], store)
		if err != nil {
			return nil, err
		}
		p.families[f] = e
	}
	for _, k := range c.packs {
		for _, constraint := range k.constraints {
			p.constraints = append(p.constraints, constraint.Constraint)
		}
	}
	slices.SortFunc(p.constraints, func(a, b contracts.Constraint) int { return strings.Compare(a.ID, b.ID) })
	return p, nil
}
