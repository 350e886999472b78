package rego

import (
	"maps"
	"strconv"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
)

// timeFormat is that of input.time: RFC 3339, UTC, milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z"

// Shared is what every candidate of a decision has in common, as OPA's values. Safe for concurrent use.
type Shared struct{ request, principal, time [2]*ast.Term }

// NewShared converts the request, the principal and the decision's time once.
func NewShared(r *contracts.Request, p contracts.Principal, t time.Time) *Shared {
	return &Shared{
		request:   ast.Item(requestKey, term(r.View())),
		principal: ast.Item(principalKey, term(p.View())),
		time:      ast.Item(timeKey, ast.StringTerm(t.UTC().Format(timeFormat))),
	}
}

// Service is a contract with its attestation, as OPA's values. Safe for concurrent use.
type Service struct{ item [2]*ast.Term }

// NewService converts a contract once.
func NewService(c *contracts.Contract, a contracts.Attestation) *Service {
	view := maps.Clone(c.View())
	view["attestation"] = string(a)
	return &Service{ast.Item(serviceKey, term(view))}
}

// Input is what the policies see of one candidate. Service and Estimate are not read by safety constraints, which see only the route.
type Input struct {
	Shared   *Shared
	Service  *Service
	Estimate contracts.ServiceEstimate
	Route    contracts.Placement
}

var (
	requestKey   = ast.StringTerm("request")
	principalKey = ast.StringTerm("principal")
	serviceKey   = ast.StringTerm("service")
	estimateKey  = ast.StringTerm("estimate")
	routeKey     = ast.StringTerm("route")
	timeKey      = ast.StringTerm("time")
	costKey      = ast.StringTerm("cost_micro_usd")
	latencyKey   = ast.StringTerm("latency_ms")
)

// value is the input as a family sees it.
func (in Input) value(f contracts.Family) ast.Value {
	route := ast.Item(routeKey, ast.StringTerm(string(in.Route)))
	if f == contracts.StageSafety {
		return ast.NewObject(in.Shared.request, in.Shared.principal, route, in.Shared.time)
	}
	estimate := ast.NewObject(ast.Item(costKey, integer(in.Estimate.CostMicroUSD)))
	if in.Estimate.LatencyMS != nil {
		estimate.Insert(latencyKey, integer(*in.Estimate.LatencyMS))
	}
	return ast.NewObject(in.Shared.request, in.Shared.principal, in.Service.item, ast.Item(estimateKey, ast.NewTerm(estimate)), route, in.Shared.time)
}

func integer(n int64) *ast.Term { return ast.NewTerm(ast.Number(strconv.FormatInt(n, 10))) }

// term converts a value of a view.
func term(v any) *ast.Term {
	switch v := v.(type) {
	case bool:
		return ast.BooleanTerm(v)
	case int64:
		return integer(v)
	case contracts.Decimal:
		return ast.NewTerm(ast.Number(v.String()))
	case string:
		return ast.StringTerm(v)
	case []any:
		list := make([]*ast.Term, len(v))
		for i := range v {
			list[i] = term(v[i])
		}
		return ast.ArrayTerm(list...)
	case map[string]any:
		object := ast.NewObjectWithCapacity(len(v))
		for _, key := range sortedKeys(v) {
			object.Insert(ast.StringTerm(key), term(v[key]))
		}
		return ast.NewTerm(object)
	}
	return ast.NullTerm()
}
