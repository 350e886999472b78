package contracts

import (
	"strconv"

	"github.com/smarthausgroup/caio/contracts/source"
)

// DecodeNode reads a number of a document exactly.
func (d *Decimal) DecodeNode(n *source.Node, faults *Diagnostics) {
	if n.Kind != source.Number {
		n.Fault(faults, "wrong-type", "expected a number, found %s", n.Kind)
		return
	}
	parsed, err := ParseDecimal(n.Text)
	if err != nil {
		n.Fault(faults, "out-of-range", "%s", err)
	}
	*d = parsed
}

// DecodeNode reads a value of any type but null. A map whose only key is `decimal` is refused: in canonical JSON that is a number.
func (v *Value) DecodeNode(n *source.Node, faults *Diagnostics) {
	v.V = openValue(n, faults)
}

func openValue(n *source.Node, faults *Diagnostics) any {
	switch n.Kind {
	case source.Bool:
		return n.Text == "true"
	case source.Text:
		return n.Text
	case source.Number:
		var d Decimal
		d.DecodeNode(n, faults)
		return d
	case source.List:
		list := make([]any, len(n.Children))
		for i := range n.Children {
			list[i] = openValue(&n.Children[i], faults)
		}
		return list
	case source.Map:
		if len(n.Children) == 1 && n.Children[0].Key == "decimal" {
			n.Fault(faults, "reserved", "a map with `decimal` as its only key can't be told from a number in canonical JSON: write the number, or name the key otherwise")
		}
		object := make(map[string]any, len(n.Children))
		for i := range n.Children {
			object[n.Children[i].Key] = openValue(&n.Children[i], faults)
		}
		return object
	}
	n.Fault(faults, "null", "null is not a value here: leave the key out")
	return nil
}

// DecodeNode reads an array of numbers, or {"re": [...], "im": [...]}, and quantises. An empty array leaves the field empty, which is an absent one (spec/calculus.md, section 3).
func (f *Field) DecodeNode(n *source.Node, faults *Diagnostics) {
	var parts struct {
		Re components `json:"re" jsonschema:"required"`
		Im components `json:"im"`
	}
	before := len(*faults)
	switch n.Kind {
	case source.List:
		if len(n.Children) == 0 {
			return
		}
		parts.Re.DecodeNode(n, faults)
	case source.Map:
		source.Decode(n, &parts, faults)
	default:
		n.Fault(faults, "wrong-type", `expected a list of numbers or a map with "re" and "im", found %s`, n.Kind)
	}
	if len(*faults) > before {
		return
	}
	quantised, err := NewField(parts.Re, parts.Im)
	if err != nil {
		n.Fault(faults, "field", "%s", err)
		return
	}
	*f = *quantised
}

// components of a field, each the nearest float64 to a number.
type components []float64

// DecodeNode reads a list of numbers.
func (c *components) DecodeNode(n *source.Node, faults *Diagnostics) {
	if n.Kind != source.List {
		n.Fault(faults, "wrong-type", "expected a list, found %s", n.Kind)
		return
	}
	if len(n.Children) == 0 {
		return
	}
	*c = make(components, len(n.Children))
	for i := range n.Children {
		child := &n.Children[i]
		if child.Kind != source.Number {
			child.Fault(faults, "wrong-type", "expected a number, found %s", child.Kind)
			continue
		}
		x, err := strconv.ParseFloat(child.Text, 64)
		if err != nil {
			child.Fault(faults, "out-of-range", "%s is too large for a component", clip(child.Text))
		}
		(*c)[i] = x
	}
}
