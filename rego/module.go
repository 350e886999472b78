package rego

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
)

// module is one parsed file of Rego.
type module struct {
	bundle *Bundle
	name   string // the file, as positions name it
	pkg    string // the package's path without data, separated by slashes
	test   bool   // a file of tests: not part of what is evaluated
	ast    *ast.Module
}

const testSuffix = "_test.rego"

// testingPackage is the package that tests make their input with.
const testingPackage = "caio/testing"

// families are the places of packages that hold constraints.
var families = []contracts.Family{contracts.StageSafety, contracts.StagePolicy, contracts.StageTraits}

// family is the one that a package belongs to, by its place, "" if it is in none.
func family(pkg string) contracts.Family {
	for _, f := range families {
		if strings.HasPrefix(pkg, "caio/"+string(f)+"/") {
			return f
		}
	}
	return ""
}

// reserved reports whether a package stands where no bundle's may.
func reserved(pkg string) bool { return within(pkg, testingPackage) || within(pkg, settingsPath) }

// dotted is a package's name, as people write it.
func dotted(pkg string) string { return strings.ReplaceAll(pkg, "/", ".") }

func at(location *ast.Location) contracts.Position {
	if location == nil {
		return contracts.Position{}
	}
	return contracts.Position{File: location.File, Line: location.Row, Column: location.Col}
}

// parse reads every file of Rego.
func (c *compilation) parse() (whole bool) {
	whole = true
	for _, b := range c.bundles {
		for _, file := range b.Files {
			if strings.HasSuffix(file.Path, ".rego") {
				whole = c.parseFile(b, file) && whole
			}
		}
	}
	slices.SortFunc(c.modules, func(a, b *module) int { return strings.Compare(a.name, b.name) })
	return whole
}

// parseFile adds a file to the modules. It is false if the file is not Rego.
func (c *compilation) parseFile(b *Bundle, file File) bool {
	name := place(b.Name, file.Path)
	parsed, err := ast.ParseModuleWithOpts(name, string(file.Text), ast.ParserOptions{ProcessAnnotation: true, Capabilities: testCapabilities(), RegoVersion: ast.RegoV1})
	if err != nil {
		c.unparsed(err, name, string(file.Text))
		return false
	}
	m := &module{bundle: b, name: name, pkg: packagePath(parsed.Package.Path), test: strings.HasSuffix(file.Path, testSuffix), ast: parsed}
	if slices.ContainsFunc(c.modules, func(other *module) bool { return other.name == name }) {
		c.fault("bundle-name", parsed.Package.Location, "two bundles have a file "+name, "Give the bundles names of which none continues another.")
		return true
	}
	c.modules = append(c.modules, m)
	if !slices.ContainsFunc(parsed.Imports, func(i *ast.Import) bool { return ast.RegoV2CompatibleRef.Equal(i.Path.Value) }) {
		c.fault("import-rego-v2", parsed.Package.Location, "the file does not import rego.v2", "Write `import rego.v2` below the package: without it, `not f(x)` does not fire where x is undefined.")
	}
	if !b.owns(m.pkg) {
		c.fault("root", parsed.Package.Location, "package "+dotted(m.pkg)+" is outside the roots of its bundle", "The roots in .manifest are "+strings.Join(b.Roots, ", ")+".")
	}
	if reserved(m.pkg) {
		c.fault("package", parsed.Package.Location, "package "+dotted(m.pkg)+" stands where no policy may", "data.caio.testing and data.caio.settings are not packages of bundles.")
	}
	return true
}

// unparsed reports what is wrong with the text of a file. What the parser says twice of one place is said once, by the longer of the two. A place without a column, as the end of a file is, is where the text before it ends.
func (c *compilation) unparsed(err error, name, text string) {
	before := len(c.faults)
	c.upstream(err, name)
	lines := strings.Split(text, "\n")
	for i := before; i < len(c.faults); i++ {
		pos := &c.faults[i].Pos
		if pos.Column > 0 || pos.Line < 1 || pos.Line > len(lines) {
			continue
		}
		for pos.Line > 1 && strings.TrimSpace(lines[pos.Line-1]) == "" {
			pos.Line--
		}
		pos.Column = 1 + utf8.RuneCountInString(strings.TrimRight(lines[pos.Line-1], " \r"))
	}
	c.faults = slices.DeleteFunc(c.faults, func(d contracts.Diagnostic) bool {
		return slices.ContainsFunc(c.faults[before:], func(other contracts.Diagnostic) bool {
			return other.Pos == d.Pos && len(other.Summary) > len(d.Summary) && strings.HasPrefix(other.Summary, d.Summary)
		})
	})
}

func packagePath(path ast.Ref) string {
	var steps []string
	for _, term := range path[1:] {
		step, _ := term.Value.(ast.String)
		steps = append(steps, string(step))
	}
	return strings.Join(steps, "/")
}

// upstream reports errors of OPA.
func (c *compilation) upstream(err error, file string) {
	var errs ast.Errors
	var single *ast.Error
	switch {
	case errors.As(err, &errs):
	case errors.As(err, &single):
		errs = ast.Errors{single}
	default:
		c.faults.Errorf("compile-error", "", contracts.Position{File: file}, "%v", err)
	}
	for _, e := range errs {
		pos := at(e.Location)
		if pos.File == "" {
			pos.File = file
		}
		d := contracts.Diagnostic{Severity: contracts.SeverityError, Code: strings.ReplaceAll(strings.TrimPrefix(e.Code, "rego_"), "_", "-"), Summary: e.Message, Pos: pos}
		if invalid, ok := e.Details.(*ast.RefErrInvalidDetail); ok {
			d.Detail = invalidReference(invalid)
		}
		if name, ok := strings.CutPrefix(e.Message, "undefined function "); ok && ast.BuiltinMap[name] != nil {
			d.Detail = "Policies can call only what depends on its arguments alone."
		}
		if name := c.pinned[pos]; name != "" && e.Code == ast.TypeErr {
			d.Code, d.Summary, d.Detail = "time-zone", "the time of "+name+" is not a number", `A time with a zone is written out where it is used: [ns, "UTC"].`
		}
		c.faults = append(c.faults, d)
	}
}

// invalidReference says which step of a reference the type checker refused, and what it would take.
func invalidReference(detail *ast.RefErrInvalidDetail) string {
	var names []string
	for _, value := range detail.OneOf {
		if text, ok := value.(ast.String); ok {
			names = append(names, string(text))
		}
	}
	if detail.Pos >= len(detail.Ref) {
		return ""
	}
	step, ok := detail.Ref[detail.Pos].Value.(ast.String)
	if !ok || len(names) == 0 {
		return ""
	}
	if near := source.DidYouMean(string(step), names); near != "" {
		return "there is no " + string(step) + near
	}
	return "there is no " + string(step) + ", but: " + strings.Join(names, ", ")
}

// fault reports an error at a place.
func (c *compilation) fault(code string, location *ast.Location, summary, detail string) {
	c.faults = append(c.faults, contracts.Diagnostic{Severity: contracts.SeverityError, Code: code, Summary: summary, Detail: detail, Pos: at(location)})
}

// needs are the paths of data that a module names, as far as they are literal.
func (m *module) needs() []string {
	var paths []string
	add := func(ref ast.Ref) bool {
		if len(ref) == 0 || !ref[0].Equal(ast.DefaultRootDocument) {
			return false
		}
		var steps []string
		for _, term := range ref[1:] {
			step, ok := term.Value.(ast.String)
			if !ok {
				break
			}
			steps = append(steps, string(step))
		}
		paths = append(paths, strings.Join(steps, "/"))
		return false
	}
	for _, i := range m.ast.Imports {
		if ref, ok := i.Path.Value.(ast.Ref); ok {
			add(ref)
		}
	}
	for _, rule := range m.ast.Rules {
		ast.WalkRefs(rule, add)
	}
	return paths
}

// closure is what the modules of some packages need, themselves included: every file of every package that one of them names. Files of tests are left out.
func (c *compilation) closure(starts func(*module) bool) []*module {
	included := map[*module]bool{}
	var queue []*module
	include := func(wanted func(*module) bool) {
		for _, m := range c.modules {
			if !m.test && !included[m] && wanted(m) {
				included[m] = true
				queue = append(queue, m)
			}
		}
	}
	include(starts)
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		for _, path := range next.needs() {
			include(func(m *module) bool { return overlap(path, m.pkg) })
		}
		include(func(m *module) bool { return m.pkg == next.pkg })
	}
	var list []*module
	for _, m := range c.modules {
		if included[m] {
			list = append(list, m)
		}
	}
	return list
}

// checkData refuses data where a package stands: it would get mixed up with what rules say.
func (c *compilation) checkData() {
	for _, m := range c.modules {
		var at any = c.data
		for step := range strings.SplitSeq(m.pkg, "/") {
			object, ok := at.(map[string]any)
			if !ok {
				break
			}
			at = object[step]
		}
		if at != nil {
			c.fault("data-conflict", m.ast.Package.Location, "there is data where package "+dotted(m.pkg)+" stands", "Put the data elsewhere: settings belong at data.caio.settings.")
		}
	}
}

// checkPackages refuses packages that no family reaches, since nothing would evaluate them, and those that stand beside the families, whoever imports them.
func (c *compilation) checkPackages() {
	reached := map[string]bool{}
	for _, m := range c.closure(func(m *module) bool { return family(m.pkg) != "" }) {
		reached[m.pkg] = true
	}
	for _, m := range c.modules {
		if m.test || reserved(m.pkg) {
			continue
		}
		beside := within(m.pkg, "caio") && family(m.pkg+"/") == ""
		detail := "Constraints live in caio.safety.*, caio.policy.* and caio.traits.*"
		if beside && reached[m.pkg] {
			detail = "What packages share lives outside caio, and constraints in caio.safety.*, caio.policy.* and caio.traits.*"
		}
		if steps := strings.Split(m.pkg, "/"); beside && len(steps) > 1 {
			detail += source.DidYouMean(steps[1], []string{"safety", "policy", "traits"})
		}
		switch {
		case !reached[m.pkg]:
			c.fault("package", m.ast.Package.Location, "package "+dotted(m.pkg)+" is neither in a family nor imported by a package that is", detail)
		case beside:
			c.fault("package", m.ast.Package.Location, "package "+dotted(m.pkg)+" stands in caio and is in no family", detail)
		}
	}
}
