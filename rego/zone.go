package rego

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// zoned are the built-ins whose operands, so many from the first on, may be a time with the name of a zone: [ns, zone]. What a zone is depends on the machine, but for UTC.
var zoned = map[string]int{"time.clock": 1, "time.date": 1, "time.weekday": 1, "time.format": 1, "time.add_date": 1, "time.diff": 2}

// abbreviated are the names of layouts with the abbreviation of a zone, of which the machine's own zone is asked first.
var abbreviated = map[string]bool{"UnixDate": true, "RFC822": true, "RFC850": true, "RFC1123": true}

// pinZones refuses every zone but UTC. Where a time is not written out as [ns, zone], 0 is added to it, which fails for all but a number: so that no variable brings in a zone.
func (k *checker) pinZones(rule *ast.Rule) {
	ast.WalkExprs(rule, func(expr *ast.Expr) bool {
		if expr.IsCall() {
			k.pinZone(expr.Operator(), expr.Operands())
		}
		return false
	})
	ast.WalkTerms(rule, func(term *ast.Term) bool {
		if call, ok := term.Value.(ast.Call); ok {
			if operator, ok := call[0].Value.(ast.Ref); ok {
				k.pinZone(operator, call[1:])
			}
		}
		return false
	})
}

func (k *checker) pinZone(operator ast.Ref, operands []*ast.Term) {
	name := operator.String()
	if name == "time.parse_ns" && len(operands) > 0 {
		layout, ok := operands[0].Value.(ast.String)
		if !ok {
			k.fault("time-zone", operands[0].Location, "the layout of time.parse_ns is not a literal", "It could name a time zone by its abbreviation, which means something else on every machine.")
		} else if abbreviated[string(layout)] || strings.Contains(string(layout), "MST") {
			k.fault("time-zone", operands[0].Location, fmt.Sprintf("the layout %v reads the abbreviation of a time zone, which means something else on every machine", layout), "Read a numeric offset instead: -07:00.")
		}
		return
	}
	for _, operand := range operands[:min(zoned[name], len(operands))] {
		time, ok := operand.Value.(*ast.Array)
		if !ok {
			number := ast.NewTerm(operand.Value).SetLocation(operand.Location)
			zero := integer(0).SetLocation(operand.Location)
			operand.Value = ast.Plus.Call(number, zero).Value
			k.pinned[at(operand.Location)] = name
			continue
		}
		if time.Len() < 2 {
			continue
		}
		if zone, ok := time.Elem(1).Value.(ast.String); !ok {
			k.fault("time-zone", time.Elem(1).Location, fmt.Sprintf("the time zone of %s is not a literal", name), `Policies see UTC alone: write "UTC", or the time without a zone.`)
		} else if zone != "" && zone != "UTC" {
			k.fault("time-zone", time.Elem(1).Location, fmt.Sprintf("the time zone of %s is %v", name, zone), `Policies see UTC alone: write "UTC", or the time without a zone.`)
		}
	}
}
