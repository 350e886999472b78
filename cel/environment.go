package cel

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	celgo "cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/stdlib"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// environment is what expressions are checked against: author's ones see the standard library, generated ones also [functions].
type environment struct {
	schema    *schema
	author    *celgo.Env
	generated *celgo.Env
	cache     shared[conjunct]
	groups    shared[group]
}

// Limits of what is parsed. Generated text is bounded by the size of a contract.
const (
	maxExprBytes    = 8 << 10
	maxNesting      = 100
	maxNodes        = 10_000
	maxRegexProgram = 2_000
)

// sharedEnvironment is made once: it is immutable, and takes as long as compiling many contracts.
var sharedEnvironment = sync.OnceValue(func() *environment {
	e, err := newEnvironment()
	if err != nil {
		panic(fmt.Sprintf("cel: the environment: %v", err)) // a fault of this package, which every test would show
	}
	return e
})

func newEnvironment() (*environment, error) {
	standard, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	s := newSchema(standard)
	options := []celgo.EnvOption{
		celgo.StdLib(celgo.StdLibSubset(standardSubset())),
		celgo.CustomTypeProvider(s),
		s.variables(),
		celgo.CrossTypeNumericComparisons(true),
		celgo.EnableMacroCallTracking(),
		celgo.CostModelVersion(1),
	}
	options = append(options, comparisons()...)
	common, err := celgo.NewCustomEnv(options...)
	if err != nil {
		return nil, err
	}
	author, err := common.Extend(
		celgo.ParserExpressionSizeLimit(maxExprBytes),
		celgo.ParserRecursionLimit(maxNesting),
		celgo.ExpressionNodeLimit(maxNodes),
		celgo.ASTValidators(celgo.ValidateDurationLiterals(), celgo.ValidateTimestampLiterals()))
	if err != nil {
		return nil, err
	}
	generated, err := common.Extend(append(functions(s),
		celgo.ParserExpressionSizeLimit(-1), celgo.ExpressionNodeLimit(-1), celgo.ParserRecursionLimit(generatedNesting))...)
	if err != nil {
		return nil, err
	}
	return &environment{schema: s, author: author, generated: generated}, nil
}

// generatedNesting is enough for a literal as deep as a contract may be.
const generatedNesting = 2_000

// standardSubset is the standard library without what reads a time zone, and without the comparisons that [comparisons] replaces.
func standardSubset() *env.LibrarySubset {
	subset := env.NewLibrarySubset()
	for _, name := range append(orders(), operators.Equals, operators.NotEquals) {
		subset.AddExcludedFunctions(env.NewFunction(name))
	}
	for _, f := range stdlib.Functions() {
		var zoned []*env.Overload
		for _, o := range f.OverloadDecls() {
			if len(o.ArgTypes()) == 2 && o.ArgTypes()[0] == types.TimestampType && strings.HasSuffix(o.ID(), "_with_tz") {
				zoned = append(zoned, env.NewOverload(o.ID(), nil, nil))
			}
		}
		if len(zoned) > 0 {
			subset.AddExcludedFunctions(env.NewFunction(f.Name(), zoned...))
		}
	}
	return subset
}

func orders() []string {
	return []string{operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals}
}

// comparisons declares the standard comparisons again, with two differences: order knows decimals that no double can tell apart, and a double may be asked to be equal to an integer (`principal.trust == 3`).
func comparisons() []celgo.EnvOption {
	holds := map[string]func(types.Int) bool{
		operators.Less:          func(order types.Int) bool { return order < 0 },
		operators.LessEquals:    func(order types.Int) bool { return order <= 0 },
		operators.Greater:       func(order types.Int) bool { return order > 0 },
		operators.GreaterEquals: func(order types.Int) bool { return order >= 0 },
	}
	var options []celgo.EnvOption
	for _, f := range stdlib.Functions() {
		if !slices.Contains(orders(), f.Name()) {
			continue
		}
		hold := holds[f.Name()]
		function := []celgo.FunctionOpt{celgo.SingletonBinaryBinding(func(a, b ref.Val) ref.Val {
			order := compare(a, b)
			if n, ok := order.(types.Int); ok {
				return types.Bool(hold(n))
			}
			return order
		})}
		for _, o := range f.OverloadDecls() {
			function = append(function, celgo.Overload(o.ID(), o.ArgTypes(), o.ResultType()))
		}
		options = append(options, celgo.Function(f.Name(), function...))
	}
	return append(options, equality(operators.Equals), equality(operators.NotEquals))
}

// equality declares == or != for every type with itself, and for an integer with a double. What it does is the interpreter's.
func equality(name string) celgo.EnvOption {
	a, b := types.NewTypeParamType("A"), types.NewTypeParamType("B")
	pairs := [][2]*types.Type{{types.IntType, types.DoubleType}, {types.DoubleType, types.IntType}}
	for _, t := range []*types.Type{types.BoolType, types.BytesType, types.DoubleType, types.DurationType, types.IntType, types.NullType, types.StringType, types.TimestampType, types.UintType,
		types.NewListType(a), types.NewMapType(a, b), types.NewTypeTypeWithParam(a)} {
		pairs = append(pairs, [2]*types.Type{t, t})
	}
	options := []celgo.FunctionOpt{celgo.SingletonBinaryBinding(func(a, b ref.Val) ref.Val { return types.NoSuchOverloadErr() })}
	var costs []cost.OverloadModel
	for _, pair := range pairs {
		id := fmt.Sprintf("%s_%s_%s", name, pair[0].TypeName(), pair[1].TypeName())
		options = append(options, celgo.Overload(id, pair[:], types.BoolType))
		costs = append(costs, cost.Overload(id, cost.EvalCost(cost.Scale(cost.Min(cost.Arg(0), cost.Arg(1)), cost.StringTraversalCostFactor))))
	}
	return func(e *celgo.Env) (*celgo.Env, error) {
		e, err := celgo.Function(name, options...)(e)
		if err != nil {
			return nil, err
		}
		return celgo.CostModel(costs...)(e)
	}
}
