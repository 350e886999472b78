package cel

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	celgo "cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/smarthausgroup/caio/contracts"
)

// record is a declared type of the input: what the checker knows of request, principal and estimate. Its fields are those of contracts.Request.View and contracts.Principal.View.
type record struct {
	name     string
	typ      *types.Type
	typeType *types.Type
	fields   []field
	index    map[string]int
}

type field struct {
	name    string
	typ     *types.Type
	convert func(any) ref.Val
	access  *types.FieldType
}

func newRecord(name string, fields ...field) *record {
	typ := types.NewObjectType(name, traits.IndexerType|traits.FieldTesterType)
	r := &record{name: name, typ: typ, typeType: types.NewTypeTypeWithParam(typ), fields: fields, index: make(map[string]int, len(fields))}
	for i := range fields {
		f := &fields[i]
		r.index[f.name] = i
		f.access = &types.FieldType{
			Type: f.typ,
			IsSet: func(target any) bool {
				o, ok := target.(*object)
				return ok && o.record == r && o.values[i] != nil
			},
			GetFrom: func(target any) (any, error) {
				if o, ok := target.(*object); ok && o.record == r && o.values[i] != nil {
					return o.values[i], nil
				}
				return nil, fmt.Errorf("no such key: %s", f.name)
			},
		}
	}
	return r
}

// object reads a view; a key that the view lacks is absent.
func (r *record) object(view any) ref.Val {
	m := view.(map[string]any)
	o := &object{record: r, values: make([]ref.Val, len(r.fields))}
	for i, f := range r.fields {
		if v, ok := m[f.name]; ok {
			o.values[i] = f.convert(v)
		}
	}
	return o
}

func textField(name string) field   { return field{name: name, typ: types.StringType, convert: value} }
func intField(name string) field    { return field{name: name, typ: types.IntType, convert: value} }
func boolField(name string) field   { return field{name: name, typ: types.BoolType, convert: value} }
func dynField(name string) field    { return field{name: name, typ: types.DynType, convert: value} }
func numberField(name string) field { return field{name: name, typ: types.DoubleType, convert: number} }

func textsField(name string) field {
	return field{name: name, typ: types.NewListType(types.StringType), convert: value}
}

func recordField(name string, r *record) field {
	return field{name: name, typ: r.typ, convert: r.object}
}

func listField(name string, of *record) field {
	return field{name: name, typ: types.NewListType(of.typ), convert: func(v any) ref.Val {
		elements := make([]ref.Val, len(v.([]any)))
		for i, e := range v.([]any) {
			elements[i] = of.object(e)
		}
		return newList(elements)
	}}
}

func mapField(name string, typ *types.Type, convert func(any) ref.Val) field {
	return field{name: name, typ: types.NewMapType(types.StringType, typ), convert: func(v any) ref.Val {
		entries := make(map[string]ref.Val, len(v.(map[string]any)))
		for key, e := range v.(map[string]any) {
			entries[key] = convert(e)
		}
		return newMap(entries)
	}}
}

// schema holds the declared types, by name and by variable. It is a [types.Provider].
type schema struct {
	types.Provider
	records                      map[string]*record
	request, principal, estimate *record
}

func newSchema(standard types.Provider) *schema {
	s := &schema{Provider: standard, records: map[string]*record{}}
	declare := func(name string, fields ...field) *record {
		r := newRecord("caio."+name, fields...)
		s.records[r.name] = r
		return r
	}
	bounds := declare("Bounds", numberField("min"), numberField("max"), dynField("equals"))
	finding := declare("Finding", textField("type"), intField("count"))
	anyMap := types.NewMapType(types.StringType, types.DynType)
	s.request = declare("Request",
		recordField("intent", declare("Intent", textField("type"))),
		recordField("requirements", declare("Requirements",
			textsField("capabilities"),
			mapField("capability_parameters", anyMap, value),
			mapField("guarantees", bounds.typ, bounds.object),
			mapField("attributes", types.DynType, value))),
		recordField("estimate", declare("RequestEstimate",
			intField("input_tokens"), intField("output_tokens"), textsField("defaulted"), intField("units"), intField("payload_bytes"))),
		recordField("limits", declare("Limits", intField("max_cost_micro_usd"), intField("max_latency_ms"))),
		recordField("data", declare("Data", textsField("labels"), textsField("regions"), listField("findings", finding))),
		recordField("context", declare("Context", boolField("shareable"))),
		recordField("traits", declare("Traits", numberField("conservative"), numberField("confidential"), numberField("risk_tolerance"))),
		textField("profile"), textField("purpose"), intField("seed"), textsField("exclude"), textField("supersedes"))
	s.principal = declare("Principal",
		textField("tenant"), textsField("roles"), textsField("permissions"), numberField("trust"), textField("method"), textField("issuer"))
	s.estimate = declare("Estimate", intField("cost_micro_usd"), intField("latency_ms"))
	return s
}

// variables declares request, principal and estimate.
func (s *schema) variables() celgo.EnvOption {
	return func(e *celgo.Env) (*celgo.Env, error) {
		for name, r := range s.roots() {
			var err error
			if e, err = celgo.Variable(name, r.typ)(e); err != nil {
				return nil, err
			}
		}
		return e, nil
	}
}

func (s *schema) roots() map[string]*record {
	return map[string]*record{"request": s.request, "principal": s.principal, "estimate": s.estimate}
}

func (s *schema) FindStructType(name string) (*types.Type, bool) {
	if r, ok := s.records[name]; ok {
		return r.typeType, true
	}
	return s.Provider.FindStructType(name)
}

func (s *schema) FindStructFieldNames(name string) ([]string, bool) {
	if r, ok := s.records[name]; ok {
		return r.fieldNames(), true
	}
	return s.Provider.FindStructFieldNames(name)
}

func (s *schema) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	r, ok := s.records[name]
	if !ok {
		return s.Provider.FindStructFieldType(name, field)
	}
	i, ok := r.index[field]
	if !ok {
		return nil, false
	}
	return r.fields[i].access, true
}

func (r *record) fieldNames() []string {
	names := make([]string, len(r.fields))
	for i, f := range r.fields {
		names[i] = f.name
	}
	return names
}

// object is a value of a record; the value of an absent field is nil.
type object struct {
	record *record
	values []ref.Val
}

var (
	_ traits.Indexer     = (*object)(nil)
	_ traits.FieldTester = (*object)(nil)
)

func (o *object) ConvertToNative(t reflect.Type) (any, error) {
	if reflect.TypeOf(o).AssignableTo(t) {
		return o, nil
	}
	return nil, fmt.Errorf("%s can't be converted", o.record.name)
}

func (o *object) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return o.record.typ
	}
	return types.NewErr("%s can't be converted to %s", o.record.name, t.TypeName())
}

func (o *object) Equal(other ref.Val) ref.Val {
	p, ok := other.(*object)
	equal := ok && o.record == p.record && slices.EqualFunc(o.values, p.values, func(a, b ref.Val) bool {
		if a == nil || b == nil {
			return a == nil && b == nil
		}
		return types.Equal(a, b) == types.True
	})
	return types.Bool(equal)
}

func (o *object) Type() ref.Type { return o.record.typ }
func (o *object) Value() any     { return o }

// Get serves dyn(request)["intent"]; checked field access does not come here.
func (o *object) Get(key ref.Val) ref.Val {
	if name, ok := key.(types.String); ok {
		if i, ok := o.record.index[string(name)]; ok && o.values[i] != nil {
			return o.values[i]
		}
	}
	return types.NewErr("no such key: %v", key)
}

func (o *object) IsSet(key ref.Val) ref.Val {
	name, ok := key.(types.String)
	i, known := o.record.index[string(name)]
	return types.Bool(ok && known && o.values[i] != nil)
}

// serviceEstimate is the value of `estimate`.
func (s *schema) serviceEstimate(e contracts.ServiceEstimate) ref.Val {
	values := []ref.Val{types.Int(e.CostMicroUSD), nil}
	if e.LatencyMS != nil {
		values[1] = types.Int(*e.LatencyMS)
	}
	return &object{record: s.estimate, values: values}
}

// suggest finds the declared name nearest to a misspelt one: among the fields of r, or of every record when r is nil. It is empty when none is near.
func (s *schema) suggest(r *record, name string) string {
	var names []string
	if r != nil {
		names = r.fieldNames()
	} else {
		for _, other := range s.records {
			names = append(names, other.fieldNames()...)
		}
		slices.Sort(names)
	}
	return nearest(name, names)
}

// nearest is the name with the fewest edits from the given one, two at most and fewer for a short one: beyond that it is another word.
func nearest(name string, names []string) string {
	best, least := "", max(1, min(2, (len(name)+1)/3))+1
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return n
		}
		if strings.HasPrefix(n, name) && len(name) > 2 { // cut short
			best, least = n, 1
		}
		if d := edits(name, n); d < least {
			best, least = n, d
		}
	}
	return best
}

// edits is the Levenshtein distance, in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
