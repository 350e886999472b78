package cel

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	celgo "cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"

	"github.com/smarthausgroup/caio/contracts"
)

// What an author's predicate may cost, in CEL's units (about 50 ns each): estimated at compile time for inputs of the sizes below, and counted at run time for whatever comes.
const (
	compileCostLimit = 100_000
	runCostLimit     = 1_000_000

	assumedElements = 64
	assumedText     = 64
)

// authored is an author's predicate on its way through the compiler.
type authored struct {
	*environment
	contracts.Predicate
	pointer string
	found   contracts.Diagnostics
}

// compileAuthor compiles an author's predicate under the rules for expressions of spec/contract.md.
func (e *environment) compileAuthor(p contracts.Predicate, pointer string) ([]*conjunct, contracts.Diagnostics) {
	a := &authored{environment: e, Predicate: p, pointer: pointer}
	if len(p.Expr) > maxExprBytes {
		a.report("predicate-cost", common.NoLocation, fmt.Sprintf("the expression has %d bytes, and %d are allowed", len(p.Expr), maxExprBytes), "split it into several predicates")
		return nil, a.found
	}
	checked := a.check()
	if checked == nil {
		return nil, a.found
	}
	a.refuse(checked.NativeRep())
	a.estimate(checked)
	if a.found.HasErrors() {
		slices.SortStableFunc(a.found, func(d, e contracts.Diagnostic) int {
			return cmp.Or(cmp.Compare(d.Pos.Line, e.Pos.Line), cmp.Compare(d.Pos.Column, e.Pos.Column))
		})
		return nil, a.found
	}
	return a.plan(checked.NativeRep()), a.found
}

// check parses and type-checks; it returns nil when it reported something.
func (a *authored) check() *celgo.Ast {
	parsed, issues := a.author.Parse(a.Expr)
	if issues.Err() != nil {
		a.issues("predicate-syntax", nil, issues)
		return nil
	}
	checked, issues := a.author.Check(parsed)
	if issues.Err() != nil {
		a.issues("predicate-type", parsed, issues)
		return nil
	}
	if out := checked.OutputType(); out != celgo.BoolType {
		detail := "compare it with something"
		if out.IsDyn() {
			detail = "what it is depends on the request; write == true"
		}
		a.report("predicate-type", common.NewLocation(1, 0), fmt.Sprintf("a predicate is true or false, and this one's type is %s", celgo.FormatCELType(out)), detail)
		return nil
	}
	return checked
}

func (a *authored) estimate(checked *celgo.Ast) {
	estimated, err := a.author.EstimateCost(checked, assumedSizes{})
	if err != nil {
		a.report("predicate-cost", common.NoLocation, "the cost of the expression can't be estimated: "+err.Error(), "")
		return
	}
	if estimated.Max > compileCostLimit {
		a.report("predicate-cost", common.NewLocation(1, 0), fmt.Sprintf("the expression may cost %s, and %d is allowed", costText(estimated.Max), compileCostLimit),
			"each comprehension inside another multiplies the cost; use fewer, or shorter lists")
	}
}

func costText(n uint64) string {
	if n == math.MaxUint64 {
		return "any amount"
	}
	return fmt.Sprint(n)
}

// assumedSizes says how large the parts of the input are taken to be when the cost is estimated.
type assumedSizes struct{}

func (assumedSizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

func (assumedSizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	if len(node.Path()) == 0 {
		return nil
	}
	size := cost.RangedSizeEstimate(0, assumedText)
	switch node.Type().Kind() {
	case types.ListKind:
		size = cost.ListSizeEstimate(cost.RangedSizeEstimate(0, assumedElements), size)
	case types.MapKind:
		size = cost.MapSizeEstimate(cost.RangedSizeEstimate(0, assumedElements), size, size)
	case types.StringKind, types.DynKind:
	default:
		return nil
	}
	return &size
}

func (a *authored) plan(checked *ast.AST) []*conjunct {
	var all []*conjunct
	for _, part := range split(checked.Expr()) {
		program, err := a.author.PlanProgram(operand(checked, part), celgo.EvalOptions(celgo.OptOptimize, celgo.OptTrackCost), celgo.CostLimit(runCostLimit))
		if err != nil {
			a.report("predicate-type", checked.SourceInfo().GetStartLocation(part.ID()), err.Error(), "")
			continue
		}
		text, err := parser.Unparse(part, checked.SourceInfo())
		if err != nil {
			text = a.Expr
		}
		all = append(all, &conjunct{text: text, program: program, limited: true})
	}
	return all
}

// refuse reports what type-checks and yet may not be.
func (a *authored) refuse(checked *ast.AST) {
	root := ast.NavigateAST(checked)
	for _, node := range ast.MatchDescendants(root, ast.AllMatcher()) {
		at := checked.SourceInfo().GetStartLocation(node.ID())
		switch node.Kind() {
		case ast.StructKind:
			a.report("predicate-refused", at, "an expression makes no "+node.AsStruct().TypeName(), "compare its fields")
		case ast.LiteralKind:
			if f, ok := node.AsLiteral().(types.Double); ok && math.Abs(float64(f)) >= float64(exactDoubles/contracts.Micro) && math.Trunc(float64(f)) != float64(f) {
				a.report("predicate-refused", at, "a fraction beyond 8589934592 can't be told from its neighbours", "use a whole number")
			}
		case ast.CallKind:
			if call := node.AsCall(); call.FunctionName() == overloads.Matches {
				a.refusePattern(call.Args()[len(call.Args())-1], checked)
			}
		case ast.ComprehensionKind:
			a.refuseComprehension(node, at)
		}
	}
}

// refusePattern wants a pattern that is known, so that it is compiled once, and of moderate size.
func (a *authored) refusePattern(pattern ast.Expr, checked *ast.AST) {
	at := checked.SourceInfo().GetStartLocation(pattern.ID())
	if pattern.Kind() != ast.LiteralKind {
		a.report("predicate-refused", at, "the pattern of matches() must be a literal", "")
		return
	}
	size, err := types.RegexProgramSize(string(pattern.AsLiteral().(types.String)))
	if err != nil {
		a.report("predicate-refused", at, err.Error(), "patterns are those of RE2")
	} else if size > maxRegexProgram {
		a.report("predicate-refused", at, fmt.Sprintf("the pattern compiles into %d instructions, and %d are allowed", size, maxRegexProgram), "")
	}
}

// refuseComprehension sees to it that the order of a map decides nothing: no list is made from one, and only maps of the input, which have an order, are iterated over.
func (a *authored) refuseComprehension(node ast.NavigableExpr, at common.Location) {
	c := node.AsComprehension()
	over := node.Children()[0]
	kind := over.Type().Kind()
	switch {
	case kind == types.ListKind:
	case c.AccuInit().Kind() == ast.ListKind:
		a.report("predicate-refused", at, "map() and filter() need a list, and this is "+celgo.FormatCELType(over.Type()), "a map has no order; use all(), exists() or exists_one()")
	case !fromInput(over):
		a.report("predicate-refused", at, "only lists, and maps of the input, can be iterated over", "write the keys as a list")
	}
}

// fromInput reports whether an expression is a part of the input.
func fromInput(e ast.NavigableExpr) bool {
	switch e.Kind() {
	case ast.SelectKind:
		return fromInput(e.Children()[0])
	case ast.CallKind:
		name := e.AsCall().FunctionName()
		return (name == operators.Index || name == overloads.TypeConvertDyn) && fromInput(e.Children()[0])
	case ast.IdentKind:
		child := e
		for parent, ok := e.Parent(); ok; parent, ok = parent.Parent() {
			if parent.Kind() == ast.ComprehensionKind {
				c := parent.AsComprehension()
				if c.IterVar() == e.AsIdent() && child.ID() != c.IterRange().ID() {
					return fromInput(parent.Children()[0])
				}
			}
			child = parent
		}
		return true
	}
	return false
}

// issues reports what cel-go found, in words of the contract's author.
func (a *authored) issues(code string, parsed *celgo.Ast, issues *celgo.Issues) {
	for _, issue := range issues.Errors() {
		at, summary, detail := issue.Location, strings.TrimSpace(issue.Message), ""
		if field, ok := quoted(summary, "undefined field '"); ok && parsed != nil {
			at, summary, detail = a.misspelt(parsed.NativeRep(), issue, field)
		} else if name, ok := quoted(summary, "undeclared reference to '"); ok {
			summary, detail = fmt.Sprintf("nothing is named %q", name), "there are request, principal, estimate and CEL's standard functions"
			if best := nearest(name, a.names(parsed)); best != "" {
				detail = fmt.Sprintf("did you mean %q?", best)
			}
		} else if operation, ok := quoted(summary, "found no matching overload for '"); ok {
			summary, detail = inapplicable(operation, summary)
		} else if fault, ok := strings.CutPrefix(summary, "Syntax error: "); ok {
			fault, _, _ = strings.Cut(fault, " expecting ")
			summary = "syntax error: " + strings.NewReplacer("mismatched input ", "unexpected ", "extraneous input ", "unexpected ", "'<EOF>'", "end").Replace(fault)
		}
		a.report(code, at, summary, detail)
	}
}

// inapplicable describes an operation on types that it is not declared for.
func inapplicable(operation, message string) (summary, detail string) {
	_, operands, _ := strings.Cut(message, "applied to '")
	operands = strings.TrimSuffix(operands, "'")
	if symbol, ok := operators.FindReverse(operation); ok {
		operation = symbol
	}
	if strings.Contains(operands, "double") && strings.Contains(operands, "int") {
		detail = "write a whole number as 3.0"
	}
	return fmt.Sprintf("%s can't be applied to %s", operation, operands), detail
}

// names lists what an identifier of the expression may be.
func (a *authored) names(parsed *celgo.Ast) []string {
	var names []string
	for name := range a.author.Functions() {
		names = append(names, name)
	}
	for _, macro := range a.author.Macros() {
		names = append(names, macro.Function())
	}
	if parsed != nil {
		ast.PreOrderVisit(parsed.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
			if e.Kind() == ast.ComprehensionKind {
				names = append(names, e.AsComprehension().IterVar())
			}
		}))
	}
	slices.Sort(names)
	return append([]string{"request", "principal", "estimate"}, names...)
}

// misspelt describes the selection of a field that does not exist: where the name is, and which one is near.
func (a *authored) misspelt(parsed *ast.AST, issue *common.Error, field string) (at common.Location, summary, detail string) {
	at, summary = a.afterPoint(issue.Location), fmt.Sprintf("there is no field %q", field)
	var of *record
	ast.PreOrderVisit(parsed.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.ID() != issue.ExprID || e.Kind() != ast.SelectKind {
			return
		}
		if path, err := parser.Unparse(e.AsSelect().Operand(), parsed.SourceInfo()); err == nil {
			summary = fmt.Sprintf("%s has no field %q", path, field)
		}
		of = a.recordOf(e.AsSelect().Operand())
	}))
	if best := a.schema.suggest(of, field); best != "" {
		detail = fmt.Sprintf("did you mean %q?", best)
	} else if of != nil {
		detail = "its fields are " + strings.Join(of.fieldNames(), ", ")
	}
	return at, summary, detail
}

// afterPoint moves a location from the point of a selection to the name after it.
func (a *authored) afterPoint(at common.Location) common.Location {
	lines := strings.Split(a.Expr, "\n")
	if at.Line() < 1 || at.Line() > len(lines) {
		return at
	}
	points := []rune(lines[at.Line()-1])
	column := at.Column()
	if column < len(points) && points[column] == '.' {
		for column++; column < len(points) && points[column] == ' '; column++ {
		}
	}
	return common.NewLocation(at.Line(), column)
}

// recordOf is the record that a path from a variable leads to, nil where that can't be told without types.
func (a *authored) recordOf(e ast.Expr) *record {
	switch e.Kind() {
	case ast.IdentKind:
		return a.schema.roots()[e.AsIdent()]
	case ast.SelectKind:
		if r := a.recordOf(e.AsSelect().Operand()); r != nil {
			if i, ok := r.index[e.AsSelect().FieldName()]; ok {
				return a.schema.records[r.fields[i].typ.TypeName()]
			}
		}
	}
	return nil
}

func quoted(message, prefix string) (string, bool) {
	rest, ok := strings.CutPrefix(message, prefix)
	name, _, closed := strings.Cut(rest, "'")
	return name, ok && closed
}

// report adds an error at a place of the expression.
func (a *authored) report(code string, at common.Location, summary, detail string) {
	a.found = append(a.found, contracts.Diagnostic{
		Severity: contracts.SeverityError, Code: code, Pointer: a.pointer, Pos: a.position(at),
		Summary: fmt.Sprintf("the predicate %s: %s", a.ID, summary), Detail: detail,
	})
}

// position is the place in the contract's source; without one, in the expression itself. Lines of a block are taken to be indented like its first.
func (a *authored) position(at common.Location) contracts.Position {
	line, column := max(at.Line(), 1), max(at.Column(), 0)
	lines := strings.Split(a.Expr, "\n")
	if line <= len(lines) {
		column = byteOffset(lines[line-1], column)
	}
	return contracts.Position{File: a.Pos.File, Line: max(a.Pos.Line, 1) + line - 1, Column: max(a.Pos.Column, 1) + column}
}

// byteOffset turns an offset in code points, as cel-go counts, into one in bytes.
func byteOffset(line string, points int) int {
	offset := 0
	for ; points > 0 && offset < len(line); points-- {
		_, size := utf8.DecodeRuneInString(line[offset:])
		offset += size
	}
	return offset
}
