package contracts

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/contracts/source"
)

// ParseContract reads a contract from YAML or JSON, by the extension of file, strictly, and fills in every default (spec/contract.md). If it is refused, the contract is nil and the diagnostics hold every fault,
// with file, line, column and JSON pointer, in the order of their positions.
func ParseContract(file string, text []byte) (*Contract, Diagnostics) {
	return sound(DraftContract(file, text))
}

// DraftContract is [ParseContract] for somebody who looks for further faults: a contract that is refused is returned as far as it could be read, nil only where nothing could.
func DraftContract(file string, text []byte) (*Contract, Diagnostics) {
	root, faults := source.Read(file, text, MaxContractBytes)
	if root == nil {
		return nil, faults
	}
	return draft(root, faults)
}

// ContractNode is [ParseContract] for a contract that stands inside another document.
func ContractNode(root *source.Node) (*Contract, Diagnostics) { return sound(draft(root, nil)) }

func sound(contract *Contract, faults Diagnostics) (*Contract, Diagnostics) {
	if faults.HasErrors() {
		return nil, faults
	}
	return contract, faults
}

func draft(root *source.Node, faults Diagnostics) (*Contract, Diagnostics) {
	contract := new(Contract)
	check := checker{root: root, faults: faults}
	source.Decode(root, contract, &check.faults)
	contract.fill()
	check.contract(contract)
	check.faults.Sort()
	for i := range contract.Predicates {
		if expr, exact := root.Find(fmt.Sprintf("/predicates/%d/expr", i)); exact {
			contract.Predicates[i].Pos = expr.TextPos()
		}
	}
	return contract, check.faults
}

// DecodeContract reads the canonical JSON of a contract and refuses every other form, and every contract that [ParseContract] would refuse.
func DecodeContract(text []byte) (*Contract, error) {
	if len(text) > MaxCanonicalBytes {
		return nil, fmt.Errorf("contract: %d bytes, and at most %d are read", len(text), MaxCanonicalBytes)
	}
	contract := new(Contract)
	if err := canonical.Decode(text, contract); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	var check checker
	check.contract(contract)
	if check.faults.Sort(); check.faults.HasErrors() {
		return nil, fmt.Errorf("contract %.64q: %w", contract.ID, check.faults)
	}
	return contract, nil
}

// fill replaces what is absent by its default: empty lists and maps, stage match.
func (c *Contract) fill() {
	for _, list := range []*[]string{&c.Tags, &c.Privacy.Regions, &c.Privacy.Certifications, &c.Access.PermissionsAny, &c.Access.PermissionsAll} {
		fillList(list)
	}
	fillList(&c.Capabilities)
	fillList(&c.Predicates)
	fillMap(&c.Guarantees)
	fillMap(&c.Attributes)
	fillMap(&c.API)
	for i := range c.Capabilities {
		fillMap(&c.Capabilities[i].Parameters)
	}
	for i := range c.Predicates {
		if c.Predicates[i].Stage == "" {
			c.Predicates[i].Stage = StageMatch
		}
	}
	if c.Field != nil && len(c.Field.Re) == 0 {
		c.Field = nil
	}
}

func fillList[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}

func fillMap[T any](m *map[string]T) {
	if *m == nil {
		*m = map[string]T{}
	}
}

// localities that each placement may have (spec/contract.md).
var localities = map[Placement][]string{
	Internal: {string(OnDevice), string(Local), string(Private)},
	Hybrid:   {string(Private), string(Cloud)},
	External: {string(Cloud)},
}

// semanticVersion is the grammar of semver.org, version 2.0.0.
var semanticVersion = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$`)

// contract checks everything of spec/contract.md and the ranges of spec/calculus.md, section 1, that the types do not say.
func (c *checker) contract(contract *Contract) {
	c.oneOf("/schema", contract.Schema, SchemaV1)
	c.identifier("/id", contract.ID)
	c.name("/name", contract.Name)
	c.name("/owner", contract.Owner)
	if !semanticVersion.MatchString(contract.Version) {
		c.fail("/version", "version", "%q is not a semantic version, such as 1.4.0", clip(contract.Version))
	}
	c.names("/tags", contract.Tags)
	placed := c.oneOf("/placement", string(contract.Placement), string(Internal), string(Hybrid), string(External))
	located := c.oneOf("/privacy/locality", string(contract.Privacy.Locality), string(OnDevice), string(Local), string(Private), string(Cloud))
	if allowed := localities[contract.Placement]; placed && located && !slices.Contains(allowed, string(contract.Privacy.Locality)) {
		c.fail("/privacy/locality", "placement", "the placement %s goes with %s, not with %s", contract.Placement, strings.Join(allowed, ", "), contract.Privacy.Locality)
	}
	c.capabilities(contract.Capabilities)
	c.guarantees(contract.Guarantees)
	c.limits(contract.Limits)
	c.cost(contract.Cost)
	c.names("/privacy/regions", contract.Privacy.Regions)
	c.names("/privacy/certifications", contract.Privacy.Certifications)
	c.count("/privacy/retention_days", contract.Privacy.RetentionDays, 0, int64(MaxDecimal/Micro))
	c.names("/access/permissions_any", contract.Access.PermissionsAny)
	c.names("/access/permissions_all", contract.Access.PermissionsAll)
	c.atMost("/access/min_trust", contract.Access.MinTrust, maxTrust)
	c.keys("/attributes", contract.Attributes)
	c.predicates(contract.Predicates)
	c.field(contract.Field)
}

func (c *checker) capabilities(capabilities []Capability) {
	switch n := len(capabilities); {
	case n == 0:
		c.fail("/capabilities", "empty", "a contract has at least one capability")
	case n > MaxCapabilities:
		c.fail("/capabilities", "too-many", "a contract has at most %d capabilities, not %d", MaxCapabilities, n)
	}
	seen := map[string]bool{}
	for i, capability := range capabilities {
		pointer := fmt.Sprintf("/capabilities/%d/type", i)
		c.identifier(pointer, capability.Type)
		if seen[capability.Type] {
			c.fail(pointer, "repeated", "the capability %s is there already", clip(capability.Type))
		}
		seen[capability.Type] = true
	}
}

// keys checks the names of an open map.
func (c *checker) keys(pointer string, m map[string]Value) {
	for key := range m {
		c.name(pointer+"/"+source.Escape(key), key)
	}
}

func (c *checker) guarantees(guarantees map[string]Guarantee) {
	for name, guarantee := range guarantees {
		pointer := "/guarantees/" + source.Escape(name)
		c.name(pointer, name)
		if name == "offered" {
			c.fail(pointer, "reserved", "a guarantee can't be named offered: guarantee.offered is the id of another predicate")
		}
		c.bounds(pointer, name, guarantee.Bounds)
	}
}

func (c *checker) limits(limits ServiceLimits) {
	c.count("/limits/max_input_tokens", limits.MaxInputTokens, 0, maxTokens)
	c.count("/limits/max_output_tokens", limits.MaxOutputTokens, 0, maxTokens)
	c.count("/limits/max_units", limits.MaxUnits, 0, maxUnits)
	c.count("/limits/max_payload_bytes", limits.MaxPayloadBytes, 0, maxTokens)
	c.count("/limits/max_concurrency", limits.MaxConcurrency, 0, int64(MaxDecimal/Micro))
	c.count("/limits/requests_per_minute", limits.RequestsPerMinute, 0, int64(MaxDecimal/Micro))
}

func (c *checker) cost(cost Cost) {
	c.atMost("/cost/per_call", cost.PerCall, maxPrice)
	c.atMost("/cost/per_million_input_tokens", cost.PerMillionInputTokens, maxMillionPrice)
	c.atMost("/cost/per_million_output_tokens", cost.PerMillionOutputTokens, maxMillionPrice)
	c.atMost("/cost/per_unit", cost.PerUnit, maxPrice)
}

// Ids that are generated, and what stands before the point in the others (spec/contract.md, "What it compiles into").
var (
	generatedIDs      = []string{"capability", "excluded", "attribute"}
	generatedPrefixes = []string{"capability.", "guarantee.", "limit.", "privacy.", "access.", "bounds."}
)

func (c *checker) predicates(predicates []Predicate) {
	if n := len(predicates); n > MaxPredicates {
		c.fail("/predicates", "too-many", "a contract has at most %d predicates, not %d", MaxPredicates, n)
	}
	seen := map[string]bool{}
	for i, predicate := range predicates {
		pointer := fmt.Sprintf("/predicates/%d", i)
		c.identifier(pointer+"/id", predicate.ID)
		generated := slices.Contains(generatedIDs, predicate.ID) ||
			slices.ContainsFunc(generatedPrefixes, func(prefix string) bool { return strings.HasPrefix(predicate.ID, prefix) })
		switch {
		case generated:
			c.fail(pointer+"/id", "reserved", "the id %s belongs to the predicates that are made from the contract", predicate.ID)
		case seen[predicate.ID]:
			c.fail(pointer+"/id", "repeated", "the predicate %s is there already", clip(predicate.ID))
		}
		seen[predicate.ID] = true
		c.oneOf(pointer+"/stage", string(predicate.Stage), string(StageMatch), string(StageSecurity), string(StageBounds))
		if strings.TrimSpace(predicate.Expr) == "" {
			c.fail(pointer+"/expr", "empty", "the expression is empty")
		}
	}
}

// field checks what quantisation gives by itself but canonical JSON could deny.
func (c *checker) field(field *Field) {
	if field == nil {
		return
	}
	parts := [][]float64{make([]float64, len(field.Re)), nil}
	if field.Im != nil {
		parts[1] = make([]float64, len(field.Im))
	}
	for p, part := range [][]int32{field.Re, field.Im} {
		for i, x := range part {
			parts[p][i] = float64(x)
		}
	}
	again, err := NewField(parts[0], parts[1])
	switch {
	case err != nil:
		c.fail("/field", "field", "%s", err)
	case !slices.Equal(again.Re, field.Re) || !slices.Equal(again.Im, field.Im):
		c.fail("/field", "field", "the largest magnitude of a quantised field is 32767")
	}
}
