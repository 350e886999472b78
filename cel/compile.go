package cel

import (
	"fmt"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
)

// Compile turns a contract into its predicates: those of the table in spec/contract.md, "What it compiles into", and the author's own. The diagnostics are of the author's; with one that is an error there is no program.
// It may be called by many goroutines at once.
func Compile(c *contracts.Contract) (*Program, contracts.Diagnostics) {
	e := sharedEnvironment()
	var diagnostics contracts.Diagnostics
	var all []compiled
	for _, g := range generate(c) {
		conjuncts, err := e.compile(g)
		if err != nil { // a fault of the generator; the contract can't be served, and says so
			diagnostics.Errorf("predicate-generated", "", contracts.Position{}, "the predicate %s can't be compiled: %v", g.id, err)
			continue
		}
		all = append(all, compiled{Predicate{g.id, g.stage, g.expr(), g.message}, conjuncts})
	}
	for i, p := range c.Predicates {
		pointer := fmt.Sprintf("/predicates/%d", i)
		diagnostics = append(diagnostics, checkPredicate(p, pointer, all)...)
		conjuncts, found := e.compileAuthor(p, pointer+"/expr")
		diagnostics = append(diagnostics, found...)
		all = append(all, compiled{Predicate{p.ID, p.Stage, p.Expr, p.Message}, conjuncts})
	}
	if diagnostics.HasErrors() {
		return nil, diagnostics
	}
	return e.newProgram(all), diagnostics
}

// Read reads a contract and compiles it. The diagnostics are of both, in the order of their positions: what is wrong with a predicate is told beside what is wrong with the rest. With one that is an error there is neither contract nor program.
func Read(file string, text []byte) (*contracts.Contract, *Program, contracts.Diagnostics) {
	contract, diagnostics := contracts.DraftContract(file, text)
	if contract == nil {
		return nil, nil, diagnostics
	}
	if !diagnostics.HasErrors() {
		program, found := Compile(contract)
		if diagnostics = append(diagnostics, found...); program == nil {
			contract = nil
		}
		return contract, program, diagnostics
	}
	for i, p := range contract.Predicates {
		if p.Expr != "" {
			_, found := sharedEnvironment().compileAuthor(p, fmt.Sprintf("/predicates/%d/expr", i))
			diagnostics = append(diagnostics, found...)
		}
	}
	diagnostics.Sort()
	return nil, nil, diagnostics
}

type compiled struct {
	Predicate
	conjuncts []*conjunct
}

func (e *environment) compile(g generated) ([]*conjunct, error) {
	conjuncts := make([]*conjunct, len(g.conjuncts))
	for i, text := range g.conjuncts {
		c, err := e.cache.get(text, e.compileGenerated)
		if err != nil {
			return nil, err
		}
		conjuncts[i] = c
	}
	return conjuncts, nil
}

func (e *environment) newProgram(all []compiled) *Program {
	slices.SortFunc(all, func(a, b compiled) int { return strings.Compare(a.ID, b.ID) })
	p := &Program{stages: map[contracts.Stage][]int{}}
	for i, c := range all {
		p.predicates = append(p.predicates, c.Predicate)
		p.conjuncts = append(p.conjuncts, c.conjuncts)
		p.stages[c.Stage] = append(p.stages[c.Stage], i)
	}
	for stage, indexes := range p.stages {
		p.parts[stageNumber(stage)] = e.divide(p, indexes)
	}
	return p
}

// checkPredicate refuses what an author's predicate may not be called, and the stages that are not CEL's.
func checkPredicate(p contracts.Predicate, pointer string, others []compiled) (found contracts.Diagnostics) {
	switch p.Stage {
	case contracts.StageMatch, contracts.StageSecurity, contracts.StageBounds:
	default:
		found.Errorf("predicate-stage", pointer+"/stage", p.Pos, "a predicate's stage is match, security or bounds, not %q", p.Stage)
	}
	if slices.ContainsFunc(others, func(o compiled) bool { return o.ID == p.ID }) {
		found.Errorf("predicate-id", pointer+"/id", p.Pos, "another predicate of the contract has the id %q", p.ID)
	} else if Reserved(p.ID) {
		found.Errorf("predicate-id", pointer+"/id", p.Pos, "the id %q is kept for predicates that are made from the contract", p.ID)
	}
	return found
}

// Reserved reports whether an id is a generated predicate's, or begins with a generated prefix and a dot, so that no author may take it.
func Reserved(id string) bool {
	prefix, _, dotted := strings.Cut(id, ".")
	if dotted {
		return slices.Contains([]string{"capability", "guarantee", "limit", "privacy", "access", "bounds"}, prefix)
	}
	return slices.Contains([]string{"capability", "excluded", "attribute"}, id)
}
