package cel

import (
	celgo "cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/smarthausgroup/caio/contracts"
)

// functions are what generated predicates use beside the standard library, so that a text is short and exact:
//
//	request.parameters("chat")             the parameters that the request requires of a capability; an empty map when none
//	request.parameter("chat", "context")   one of them; null when the request does not require it
//	request.guarantee("latency", "max")    a bound of a required guarantee; null likewise
//	request.attribute("tier")              a required attribute; null likewise
//
// and what an offer says of it, where what is not required (null) is always satisfied:
//
//	x.absent()                  it is not required
//	x.equals(1024)              it is equal, type and value
//	x.within({"max": 128})      it is a number within, ends included
//	x.among(["de", "en"])       it, or every element of it if it is a list, is in the list
//	x.atMost(3), x.atLeast(3)   it is a number at most, at least 3
//	m.only(["a", "b"])          every key of the map, or element of the list, is in the list
//	decimal("8589934592.5")     a number that no double says exactly
func functions(s *schema) []celgo.EnvOption {
	text, dyn, truth := types.StringType, types.DynType, types.BoolType
	texts, anyMap := types.NewListType(text), types.NewMapType(text, dyn)
	request := s.request.typ
	offer := func(name string, arg *types.Type, holds func(required, offered ref.Val) bool) celgo.EnvOption {
		return celgo.Function(name, celgo.MemberOverload("caio_"+name, []*types.Type{dyn, arg}, truth,
			celgo.BinaryBinding(func(required, offered ref.Val) ref.Val {
				return types.Bool(required == types.NullValue || holds(required, offered))
			})))
	}
	return []celgo.EnvOption{
		celgo.Function("parameters", celgo.MemberOverload("caio_parameters", []*types.Type{request, text}, anyMap, celgo.BinaryBinding(parameters))),
		celgo.Function("parameter", celgo.MemberOverload("caio_parameter", []*types.Type{request, text, text}, dyn, celgo.FunctionBinding(func(args ...ref.Val) ref.Val {
			return find(parameters(args[0], args[1]), args[2])
		}))),
		celgo.Function("guarantee", celgo.MemberOverload("caio_guarantee", []*types.Type{request, text, text}, dyn, celgo.FunctionBinding(bound))),
		celgo.Function("attribute", celgo.MemberOverload("caio_attribute", []*types.Type{request, text}, dyn, celgo.BinaryBinding(func(r, name ref.Val) ref.Val {
			return find(requirement(r, "attributes"), name)
		}))),
		celgo.Function("absent", celgo.MemberOverload("caio_absent", []*types.Type{dyn}, truth, celgo.UnaryBinding(func(required ref.Val) ref.Val {
			return types.Bool(required == types.NullValue)
		}))),
		offer("equals", dyn, func(required, offered ref.Val) bool { return types.Equal(required, offered) == types.True }),
		offer("within", anyMap, within),
		offer("among", types.NewListType(dyn), among),
		offer("atMost", dyn, func(required, offered ref.Val) bool { return ordered(required, offered, -1) }),
		offer("atLeast", dyn, func(required, offered ref.Val) bool { return ordered(required, offered, 1) }),
		celgo.Function("only",
			celgo.MemberOverload("caio_map_only", []*types.Type{types.NewMapType(text, types.NewTypeParamType("V")), texts}, truth, celgo.BinaryBinding(only)),
			celgo.MemberOverload("caio_list_only", []*types.Type{texts, texts}, truth, celgo.BinaryBinding(only))),
		celgo.Function("decimal", celgo.Overload("caio_decimal", []*types.Type{text}, dyn, celgo.UnaryBinding(func(v ref.Val) ref.Val {
			d, err := contracts.ParseDecimal(string(v.(types.String)))
			if err != nil {
				return types.WrapErr(err)
			}
			return decimal(d)
		}))),
	}
}

var noParameters = newMap(nil)

func requirement(request ref.Val, name string) ref.Val {
	r := request.(*object)
	requirements := r.values[r.record.index["requirements"]].(*object)
	return requirements.values[requirements.record.index[name]]
}

// find is the value of a key, and null without it.
func find(m, key ref.Val) ref.Val {
	if v, ok := m.(traits.Mapper).Find(key); ok {
		return v
	}
	return types.NullValue
}

func parameters(request, capability ref.Val) ref.Val {
	if v, ok := requirement(request, "capability_parameters").(traits.Mapper).Find(capability); ok {
		return v
	}
	return noParameters
}

func bound(args ...ref.Val) ref.Val {
	guarantee, ok := find(requirement(args[0], "guarantees"), args[1]).(*object)
	if !ok {
		return types.NullValue
	}
	if v := guarantee.values[guarantee.record.index[string(args[2].(types.String))]]; v != nil {
		return v
	}
	return types.NullValue
}

func isNumber(v ref.Val) bool {
	switch v.(type) {
	case types.Int, types.Double, largeDecimal:
		return true
	}
	return false
}

// ordered reports whether a is equal to b or lies on the given side of it, both being numbers.
func ordered(a, b ref.Val, side types.Int) bool {
	if !isNumber(a) || !isNumber(b) {
		return false
	}
	order := compare(a, b)
	return order == types.IntZero || order == side
}

// interval is a literal {min, max} of a contract; an absent bound is nil.
type interval struct {
	traits.Mapper
	min, max ref.Val
}

func newInterval(m traits.Mapper) *interval {
	i := &interval{Mapper: m}
	if v, ok := m.Find(types.String("min")); ok {
		i.min = v
	}
	if v, ok := m.Find(types.String("max")); ok {
		i.max = v
	}
	return i
}

func within(required, offered ref.Val) bool {
	i := offered.(*interval)
	return isNumber(required) && (i.min == nil || ordered(required, i.min, 1)) && (i.max == nil || ordered(required, i.max, -1))
}

func among(required, offered ref.Val) bool {
	if elements, ok := required.(traits.Lister); ok {
		return every(elements, offered.(*set))
	}
	return offered.(*set).has(required)
}

func only(values, allowed ref.Val) ref.Val {
	return types.Bool(every(values, allowed.(*set)))
}

// every reports whether each element of a list, or key of a map, is allowed.
func every(values ref.Val, allowed *set) bool {
	if values.(traits.Sizer).Size() == types.IntZero { // mostly
		return true
	}
	for i := values.(traits.Iterable).Iterator(); i.HasNext() == types.True; {
		if !allowed.has(i.Next()) {
			return false
		}
	}
	return true
}
