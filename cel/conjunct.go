package cel

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"weak"

	celgo "cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// conjunct is one operand of a predicate's top-level &&. Conjuncts are planned one by one: the first false one is then known without evaluating a second time, and contracts share those whose text is the same.
type conjunct struct {
	text    string
	program celgo.Program
	limited bool // an author's: its cost is tracked
	// general says that it is a generated one that does not read the estimate, so that it has the same value for every contract that has it.
	general bool
	// excludes is the id in `!(id in request.exclude)`, "" for any other.
	excludes string
}

// shared keeps what programs have in common, by its text, for as long as some program uses it. Compiling takes a hundred times longer than evaluating, and the contracts of a registry have most texts in common.
type shared[T any] struct {
	byText sync.Map // string -> weak.Pointer[T]
}

func (c *shared[T]) get(text string, compile func(string) (*T, error)) (*T, error) {
	if known, ok := c.byText.Load(text); ok {
		if found := known.(weak.Pointer[T]).Value(); found != nil {
			return found, nil
		}
	}
	made, err := compile(text)
	if err != nil {
		return nil, err
	}
	pointer := weak.Make(made)
	c.byText.Store(text, pointer)
	runtime.AddCleanup(made, func(text string) { c.byText.CompareAndDelete(text, pointer) }, text)
	return made, nil
}

// compileGenerated compiles a conjunct that [generate] wrote.
func (e *environment) compileGenerated(text string) (*conjunct, error) {
	checked, issues := e.generated.Compile(text)
	if issues.Err() != nil {
		return nil, fmt.Errorf("%s: %w", text, issues.Err())
	}
	if err := e.prepareLiterals(checked.NativeRep()); err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	program, err := e.generated.PlanProgram(checked.NativeRep(), celgo.EvalOptions(celgo.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	return &conjunct{text: text, program: program, general: !reads(checked.NativeRep(), "estimate"), excludes: excluded(text)}, nil
}

// reads reports whether an expression names a variable.
func reads(checked *ast.AST, variable string) bool {
	found := false
	ast.PostOrderVisit(checked.Expr(), ast.NewExprVisitor(func(node ast.Expr) {
		found = found || node.Kind() == ast.IdentKind && strings.TrimPrefix(node.AsIdent(), ".") == variable
	}))
	return found
}

// prepareLiterals replaces the literal arguments of only, among and within by values made for looking up. Without it a long list of a contract against a long one of a request would take the product of both.
func (e *environment) prepareLiterals(checked *ast.AST) error {
	var failed error
	ast.PostOrderVisit(checked.Expr(), ast.NewExprVisitor(func(node ast.Expr) {
		if node.Kind() != ast.CallKind || !node.AsCall().IsMemberFunction() || failed != nil {
			return
		}
		switch call := node.AsCall(); call.FunctionName() {
		case "only", "among", "within":
			failed = e.prepareLiteral(checked, call.Args()[0])
		}
	}))
	return failed
}

func (e *environment) prepareLiteral(checked *ast.AST, argument ast.Expr) error {
	program, err := e.generated.PlanProgram(operand(checked, argument), celgo.EvalOptions(celgo.OptOptimize))
	if err != nil {
		return err
	}
	v, _, err := program.Eval(interpreter.EmptyActivation())
	if err != nil {
		return err
	}
	factory := ast.NewExprFactory()
	switch v := v.(type) {
	case traits.Lister:
		argument.SetKindCase(factory.NewLiteral(argument.ID(), newSet(v)))
	case traits.Mapper:
		argument.SetKindCase(factory.NewLiteral(argument.ID(), newInterval(v)))
	}
	return nil
}

// operand is a part of a checked expression as one of its own.
func operand(checked *ast.AST, part ast.Expr) *ast.AST {
	return ast.NewCheckedAST(ast.NewAST(part, checked.SourceInfo()), checked.TypeMap(), checked.ReferenceMap())
}

// split lists the operands of the top-level &&, left to right.
func split(e ast.Expr) []ast.Expr {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.LogicalAnd {
		return []ast.Expr{e}
	}
	var all []ast.Expr
	for _, argument := range e.AsCall().Args() {
		all = append(all, split(argument)...)
	}
	return all
}
