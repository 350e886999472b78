package main

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/spf13/cobra"
)

func newPolicyDiff(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "diff A B",
		Short: "Say which constraints the bundle B adds, removes and changes",
		Long: `Say which constraints the bundle B adds, removes and changes against A; each is a folder, a tarball, or the digest of a bundle that the server has, which may be shortened.

Of a constraint what its annotation says is compared (family, package, title, description, severity, controls, remedy), and what it does: every rule that it reaches, in whatever package, and every default and other data that these read, by name.
Comments, layout and the order of rules are not told apart. The files that differ are listed by name.

Exit 0 if the bundles have the same files, byte for byte, 1 if they differ, 4 if it can't be told, since one of them does not compile.`,
		Example: "  caio policy diff policies bundle.tar.gz\n  caio policy diff old.tar.gz new.tar.gz --format json\n  caio policy diff 5f2b6a0c0e54 acme",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.diffBundles(cmd, args[0], args[1])
		},
	}
}

// bundleDiff is how a bundle differs from another. Constraints are in order of id, files of path.
type bundleDiff struct {
	From    bundleName             `json:"from"`
	To      bundleName             `json:"to"`
	Added   []contracts.Constraint `json:"added"`
	Removed []contracts.Constraint `json:"removed"`
	Changed []constraintChange     `json:"changed"`
	Files   fileDiff               `json:"files"`
}

type bundleName struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

type fileDiff struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	Changed []string `json:"changed"`
}

// constraintChange is what is said otherwise of a constraint, and what is decided otherwise: of fields the values are texts, controls a list; of sources, which are rules and data by their path, texts of Rego and of JSON, null where there is none.
type constraintChange struct {
	ID      string        `json:"id"`
	Fields  []fieldChange `json:"fields"`
	Sources []fieldChange `json:"sources"`
}

type fieldChange struct {
	Field string `json:"field"`
	From  any    `json:"from"`
	To    any    `json:"to"`
}

func (o *options) diffBundles(cmd *cobra.Command, from, to string) error {
	var bundles [2]*rego.Bundle
	var constraints [2]map[string]constraintOf
	failed := false
	for i, name := range []string{from, to} {
		bundle, diagnostics, err := o.readOrPull(cmd.Context(), name)
		if err != nil {
			return err
		}
		list, diagnostics := compileBundle(bundle, diagnostics)
		if o.diagnose(cmd, diagnostics) {
			failed = true
			continue
		}
		sources, _ := rego.Sources([]*rego.Bundle{bundle}, rego.Options{})
		bundles[i], constraints[i] = bundle, map[string]constraintOf{}
		for _, c := range list {
			constraints[i][c.ID] = constraintOf{c, sources[c.ID]}
		}
	}
	if failed {
		return &exitError{code: exitInconclusive}
	}
	d := compareConstraints(constraints[0], constraints[1])
	d.From, d.To = bundleName{from, bundles[0].Digest}, bundleName{to, bundles[1].Digest}
	d.Files = compareFiles(bundles[0].Files, bundles[1].Files)
	if o.machine() {
		if err := o.emit(cmd, d); err != nil {
			return err
		}
	} else if !o.quiet {
		o.present(cmd).bundleDiff(&d)
	}
	if d.From.Digest != d.To.Digest {
		return no()
	}
	return nil
}

// constraintOf is a constraint with what it is made of.
type constraintOf struct {
	contracts.Constraint
	sources map[string]string
}

func compareConstraints(from, to map[string]constraintOf) bundleDiff {
	d := bundleDiff{Added: []contracts.Constraint{}, Removed: []contracts.Constraint{}, Changed: []constraintChange{}}
	for _, id := range slices.Sorted(maps.Keys(from)) {
		now, kept := to[id]
		if !kept {
			d.Removed = append(d.Removed, from[id].Constraint)
			continue
		}
		change := constraintChange{id, compareFields(from[id].Constraint, now.Constraint), compareSources(from[id].sources, now.sources)}
		if len(change.Fields)+len(change.Sources) > 0 {
			d.Changed = append(d.Changed, change)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(to)) {
		if _, had := from[id]; !had {
			d.Added = append(d.Added, to[id].Constraint)
		}
	}
	return d
}

func compareFields(from, to contracts.Constraint) []fieldChange {
	changes := []fieldChange{}
	for _, f := range []struct{ name, from, to string }{
		{"family", string(from.Family), string(to.Family)},
		{"package", from.Package, to.Package},
		{"title", from.Title, to.Title},
		{"description", from.Description, to.Description},
		{"severity", from.Severity, to.Severity},
		{"remedy", from.Remedy, to.Remedy},
	} {
		if f.from != f.to {
			changes = append(changes, fieldChange{f.name, f.from, f.to})
		}
	}
	if !slices.Equal(from.Controls, to.Controls) {
		changes = append(changes, fieldChange{"controls", from.Controls, to.Controls})
	}
	slices.SortFunc(changes, func(a, b fieldChange) int { return cmp.Compare(a.Field, b.Field) })
	return changes
}

// compareSources compares rules and data by their path.
func compareSources(from, to map[string]string) []fieldChange {
	changes := []fieldChange{}
	text := func(in map[string]string, name string) any {
		if text, ok := in[name]; ok {
			return text
		}
		return nil
	}
	names := maps.Clone(from)
	maps.Copy(names, to)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if before, now := text(from, name), text(to, name); before != now {
			changes = append(changes, fieldChange{name, before, now})
		}
	}
	return changes
}

func compareFiles(from, to []rego.File) fileDiff {
	d := fileDiff{Added: []string{}, Removed: []string{}, Changed: []string{}}
	find := func(files []rego.File, path string) (text []byte, ok bool) {
		i, ok := slices.BinarySearchFunc(files, path, func(f rego.File, path string) int { return cmp.Compare(f.Path, path) })
		if ok {
			text = files[i].Text
		}
		return text, ok
	}
	for _, file := range from {
		if text, kept := find(to, file.Path); !kept {
			d.Removed = append(d.Removed, file.Path)
		} else if !bytes.Equal(text, file.Text) {
			d.Changed = append(d.Changed, file.Path)
		}
	}
	for _, file := range to {
		if _, had := find(from, file.Path); !had {
			d.Added = append(d.Added, file.Path)
		}
	}
	return d
}

// bundleDiff shows constraints, then files.
func (p *presenter) bundleDiff(d *bundleDiff) {
	if d.From.Digest == d.To.Digest {
		p.printf("  the bundles are the same: %s\n", d.From.Digest)
		return
	}
	added, removed, changed := pad(p.good.Render("added"), 7), pad(p.bad.Render("removed"), 7), p.warn.Render("changed")
	rows := [][]string{}
	for _, c := range d.Added {
		rows = append(rows, []string{added, p.bold.Render(c.ID), string(c.Family), c.Severity, c.Title})
	}
	for _, c := range d.Removed {
		rows = append(rows, []string{removed, p.bold.Render(c.ID), string(c.Family), c.Severity, c.Title})
	}
	if len(rows) > 0 {
		p.table([]string{"", "CONSTRAINT", "FAMILY", "SEVERITY", "TITLE"}, rows)
	}
	for _, c := range d.Changed {
		p.printf("  %s  %s\n", changed, p.bold.Render(c.ID))
		for _, f := range c.Fields {
			p.printf("    %s\n      - %s\n      + %s\n", f.Field, flat(f.From), flat(f.To))
		}
		for _, f := range c.Sources {
			p.sourceChange(f)
		}
	}
	if len(d.Added)+len(d.Removed)+len(d.Changed) == 0 {
		p.printf("  no constraint is added or removed, is described otherwise or decides otherwise; these files differ\n")
	}
	for _, f := range []struct {
		what  string
		paths []string
	}{{added, d.Files.Added}, {removed, d.Files.Removed}, {changed, d.Files.Changed}} {
		for _, path := range f.paths {
			p.printf("  %s  %s\n", f.what, p.faint.Render(path))
		}
	}
}

// sourceChange shows the lines of a rule, or of a value of data, that are others now.
func (p *presenter) sourceChange(f fieldChange) {
	p.printf("    %s\n", f.Field)
	lines := func(source any) []byte {
		if text, ok := source.(string); ok {
			return []byte(text + "\n")
		}
		return nil
	}
	_, hunks, _ := strings.Cut(string(diff.Diff("a", lines(f.From), "b", lines(f.To))), "@@\n")
	for line := range strings.Lines(hunks) {
		if !strings.HasPrefix(line, "@@") {
			p.printf("      %s\n", strings.TrimRight(line, "\n"))
		}
	}
}

// flat is a value of an annotation on one line.
func flat(value any) string {
	text, ok := value.(string)
	if list, isList := value.([]string); !ok && isList {
		text = strings.Join(list, ", ")
	}
	return or(strings.Join(strings.Fields(text), " "), "nothing")
}
