package scenario

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
	"github.com/smarthausgroup/caio/verify"
)

// MaxBytes bounds a scenario file.
const MaxBytes = 16 << 20

// Opener reads the file at a path with slashes, relative to where the scenario file's own path is relative to.
type Opener func(path string) ([]byte, error)

// document is a scenario as it is written.
type document struct {
	Name         string            `json:"name" jsonschema:"required"`
	Time         *source.Node      `json:"time" jsonschema:"required"`
	Principal    *source.Node      `json:"principal" jsonschema:"required"`
	Contracts    []*source.Node    `json:"contracts" jsonschema:"required"`
	Attestations map[string]string `json:"attestations"`
	Request      *source.Node      `json:"request" jsonschema:"required"`
	History      []Row             `json:"history"`
	Settings     *source.Node      `json:"settings"`
	Data         *source.Node      `json:"data"`
	Expect       Expect            `json:"expect" jsonschema:"required"`
}

// Parse reads a scenario file, YAML or JSON by the extension of file, strictly. open reads the contracts that stand there as paths, relative to file; without it such a contract is a fault. The diagnostics hold every fault, with positions;
// if one is an error there are no scenarios. A file without a scenario is an error.
func Parse(file string, text []byte, open Opener) ([]Scenario, contracts.Diagnostics) {
	root, faults := source.Parse(file, text, MaxBytes)
	if root == nil {
		return nil, faults
	}
	nodes := []*source.Node{root}
	if root.Kind == source.List {
		nodes = nil
		for i := range root.Children {
			nodes = append(nodes, &root.Children[i])
		}
	}
	if len(nodes) == 0 {
		root.Fault(&faults, "empty", "there is no scenario here")
	}
	scenarios := make([]Scenario, len(nodes))
	for i, node := range nodes {
		p := parser{file: file, open: open, root: node, scenario: &scenarios[i]}
		p.parse()
		faults = append(faults, p.faults...)
	}
	if faults.HasErrors() {
		return nil, faults
	}
	return scenarios, faults
}

// parser reads one scenario.
type parser struct {
	file     string
	open     Opener
	root     *source.Node
	document document
	scenario *Scenario
	services []string
	faults   contracts.Diagnostics
}

func (p *parser) parse() {
	source.Decode(p.root, &p.document, &p.faults)
	d, s := &p.document, p.scenario
	*s = Scenario{Name: d.Name, Pos: p.root.Pos(), Attestations: map[string]contracts.Attestation{}, History: d.History, Expect: d.Expect}
	if d.Name == "" && p.root.Get("name") != nil {
		p.fault("/name", "empty", "a scenario has a name")
	}
	p.time()
	s.Settings, s.Data = p.values(d.Settings), p.values(d.Data)
	if d.Principal != nil {
		principal, faults := contracts.PrincipalNode(d.Principal)
		s.Principal, p.faults = principal, append(p.faults, faults...)
	}
	if d.Request != nil {
		request, faults := contracts.RequestNode(d.Request, Admission(s.Settings))
		s.Request, p.faults = request, append(p.faults, faults...)
	}
	for i, node := range d.Contracts {
		p.contract(fmt.Sprintf("/contracts/%d", i), node)
	}
	p.attestations()
	p.history()
	p.expect()
}

// fault adds an error about the value at a pointer of the scenario.
func (p *parser) fault(pointer, code, format string, args ...any) {
	p.root.FaultAt(&p.faults, pointer, code, format, args...)
}

// Admission is what an operator may do under the tenant's settings; a seed that is not given is 0 (spec/contract.md, "The request, normalised").
func Admission(settings map[string]any) contracts.Admission {
	a := contracts.Admission{MaySeed: true, Operator: true}
	core, _ := settings["core"].(map[string]any)
	labels, _ := core["labels"].([]any)
	for _, label := range labels {
		if text, ok := label.(string); ok {
			a.Labels = append(a.Labels, text)
		}
	}
	a.RequireLabel, _ = core["require_label"].(bool)
	return a
}

func (p *parser) time() {
	node := p.document.Time
	if node == nil {
		return
	}
	t, err := time.Parse(time.RFC3339, node.Text)
	switch {
	case node.Kind != source.Text || err != nil:
		node.Fault(&p.faults, "time", "expected a time as in %q", verify.TimeFormat)
	case !t.Equal(t.Truncate(time.Millisecond)):
		node.Fault(&p.faults, "time", "a decision's time has whole milliseconds")
	}
	p.scenario.Time = t.UTC()
}

// values reads settings or data.
func (p *parser) values(node *source.Node) map[string]any {
	if node == nil {
		return map[string]any{}
	}
	exact, err := contracts.Exact(node.Any())
	if err != nil {
		node.Fault(&p.faults, "out-of-range", "%s", err)
		return nil
	}
	object, ok := exact.(map[string]any)
	if !ok {
		node.Fault(&p.faults, "wrong-type", "expected a map, found %s", node.Kind)
	}
	return object
}

// contract reads one that stands in the scenario, or at a path.
func (p *parser) contract(pointer string, node *source.Node) {
	var contract *contracts.Contract
	var faults contracts.Diagnostics
	if node.Kind == source.Text {
		text, file, err := p.read(node.Text)
		if err != nil {
			node.Fault(&p.faults, "contract", "the contract can't be read: %v", err)
			return
		}
		contract, faults = contracts.ParseContract(file, text)
	} else {
		contract, faults = contracts.ContractNode(node)
	}
	p.faults = append(p.faults, faults...)
	if contract == nil {
		return
	}
	if slices.Contains(p.services, contract.ID) {
		p.fault(pointer, "repeated", "the service %s is there already", contract.ID)
	}
	p.services = append(p.services, contract.ID)
	p.scenario.Contracts = append(p.scenario.Contracts, contract)
}

func (p *parser) read(name string) (text []byte, file string, err error) {
	if p.open == nil {
		return nil, "", fmt.Errorf("%s: paths are not followed here", name)
	}
	file = path.Join(path.Dir(p.file), name)
	text, err = p.open(file)
	return text, file, err
}

// service checks that a service which is spoken of is there. While contracts are missing nothing is said.
func (p *parser) service(pointer, id string) {
	if len(p.services) == len(p.document.Contracts) && !slices.Contains(p.services, id) {
		p.fault(pointer, "unknown-service", "no contract here has the id %q%s", id, source.DidYouMean(id, p.services))
	}
}

// oneOf checks a word of a fixed list.
func (p *parser) oneOf(pointer, word string, words ...string) {
	if !slices.Contains(words, word) {
		p.fault(pointer, "unknown-value", "%q is none of %q%s", word, words, source.DidYouMean(word, words))
	}
}

func (p *parser) attestations() {
	for service, level := range p.document.Attestations {
		pointer := "/attestations/" + source.Escape(service)
		p.service(pointer, service)
		p.oneOf(pointer, level, string(contracts.SelfAttested), string(contracts.Audited), string(contracts.Verified))
		p.scenario.Attestations[service] = contracts.Attestation(level)
	}
}

// history checks the ranges of spec/calculus.md, section 1.
func (p *parser) history() {
	type key struct{ tenant, intent, service string }
	seen := map[key]bool{}
	for i, row := range p.document.History {
		pointer := fmt.Sprintf("/history/%d", i)
		p.service(pointer+"/service", row.Service)
		k := key{row.Tenant, row.Intent, row.Service}
		if seen[k] {
			p.fault(pointer, "repeated", "there is a row of this tenant, intent and service already")
		}
		seen[k] = true
		if row.OK < 0 || row.OK > row.N || row.N > 500 {
			p.fault(pointer, "out-of-range", "0 <= ok <= n <= 500 does not hold")
		}
		if row.P95 < 0 || row.P95 > 1_000_000_000 || (row.P95 >= 1) != (row.OK > 0) {
			p.fault(pointer, "out-of-range", "p95 is at least 1 exactly if ok is more than 0, and at most 1e9")
		}
	}
}

// expect checks the words of what is expected: a misspelt one would be a test that fails for the wrong reason.
func (p *parser) expect() {
	e := &p.document.Expect
	node := p.root.Get("expect")
	if node == nil {
		return
	}
	if node.Kind == source.Map && len(node.Children) == 0 {
		p.fault("/expect", "empty", "the scenario expects nothing, so it tests nothing")
	}
	if e.Outcome != nil {
		p.oneOf("/expect/outcome", *e.Outcome, verify.Routed, verify.Denied)
	}
	if e.Winner != nil {
		p.service("/expect/winner", *e.Winner)
	}
	if e.Route != nil {
		p.oneOf("/expect/route", *e.Route, string(contracts.Internal), string(contracts.Hybrid), string(contracts.External))
	}
	for service := range e.Violations {
		p.service("/expect/violations/"+source.Escape(service), service)
	}
	if e.Control != nil && len(e.Control) != 8 {
		p.fault("/expect/control", "out-of-range", "a control signal has eight numbers, not %d", len(e.Control))
	}
	var services []string
	for i, unmatched := range e.Unmatched {
		services = p.listed(services, fmt.Sprintf("/expect/unmatched/%d/service", i), unmatched.Service)
	}
	for i, candidate := range e.Candidates {
		pointer := fmt.Sprintf("/expect/candidates/%d", i)
		services = p.listed(services, pointer+"/service", candidate.Service)
		if candidate.Eliminated != nil {
			p.oneOf(pointer+"/eliminated/stage", candidate.Eliminated.Stage, stages...)
		}
		for name := range candidate.Terms {
			p.oneOf(pointer+"/terms/"+source.Escape(name), name, terms...)
		}
	}
}

// listed checks a service that may stand in unmatched or in candidates, once.
func (p *parser) listed(services []string, pointer, id string) []string {
	p.service(pointer, id)
	if slices.Contains(services, id) {
		p.fault(pointer, "repeated", "the service %s is expected somewhere else already", id)
	}
	return append(services, id)
}

// stages at which a candidate can fall, and the names of the terms.
var (
	stages = []string{
		string(contracts.StageSafety), string(contracts.StagePolicy), string(contracts.StageSecurity), string(contracts.StageTraits), string(contracts.StageBounds),
	}
	terms = slices.Sorted(maps.Keys(named(verify.Terms{})))
)
