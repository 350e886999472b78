package rego_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"pgregory.net/rapid"
)

const annotation = "# METADATA\n# title: T\n# custom: {severity: low, controls: [], remedy: R}\n"

// policy is a file of a package.
func policy(pkg string, parts ...string) string {
	return "package " + pkg + "\n\nimport rego.v2\n\n" + strings.Join(parts, "\n\n") + "\n"
}

// rule is an annotated rule.
func rule(text string) string { return annotation + text }

func compiled(t testing.TB, o rego.Options, bundles ...*rego.Bundle) *rego.Policies {
	t.Helper()
	p, faults := rego.Compile(bundles, o)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

func request(kind string, labels ...string) *contracts.Request {
	return &contracts.Request{
		Intent:       contracts.Intent{Type: kind},
		Requirements: contracts.Requirements{Capabilities: []string{kind}},
		Data:         contracts.Data{Labels: labels},
		Profile:      contracts.Balanced,
	}
}

func input(id string, route contracts.Placement, cost int64, labels ...string) rego.Input {
	c := &contracts.Contract{ID: id, Placement: route, Privacy: contracts.Privacy{Locality: contracts.Private, Regions: []string{"us"}}}
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.FixedZone("", 3600))
	return rego.Input{
		Shared:   rego.NewShared(request("chat", labels...), contracts.Principal{Tenant: "acme", Trust: 1_500_000}, at),
		Service:  rego.NewService(c, contracts.Audited),
		Estimate: contracts.ServiceEstimate{CostMicroUSD: cost},
		Route:    route,
	}
}

func show(f rego.Findings) string {
	var lines []string
	for _, v := range f.Violations {
		lines = append(lines, fmt.Sprintf("%s:%s=%d %s", v.Kind, v.ID, v.Value, v.Reason))
	}
	for _, s := range f.Satisfied {
		line := s.ID + " satisfied"
		if s.Margin != nil {
			line += fmt.Sprintf(" by %d", *s.Margin)
		}
		lines = append(lines, line)
	}
	for _, w := range f.Warnings {
		lines = append(lines, fmt.Sprintf("%s warns %s", w.ID, w.Reason))
	}
	return strings.Join(lines, "\n")
}

// TestEvaluate is what rules of every form come to.
func TestEvaluate(t *testing.T) {
	for name, c := range map[string]struct{ rules, want string }{
		"text":                {rule(`violation["A"] contains "no"`), "rego:A=1 no"},
		"satisfied":           {rule(`violation["A"] contains "no" if input.route == "external"`), "A satisfied"},
		"number":              {rule(`violation["A"] contains {"msg": "over", "value": input.estimate.cost_micro_usd - 2}`), "rego:A=5 over"},
		"zero":                {rule(`violation["A"] contains {"msg": "over", "value": input.estimate.cost_micro_usd - 7}`), "A satisfied"},
		"negative":            {rule(`violation["A"] contains json.unmarshal(json.marshal({"msg": "over", "value": 3 - 6}))`), "A satisfied"},
		"largest":             {rule("violation[\"A\"] contains \"b\"\n\nviolation[\"A\"] contains json.unmarshal(json.marshal({\"msg\": \"c\", \"value\": 3}))\n\nviolation[\"A\"] contains \"a\"\n\nviolation[\"A\"] contains json.unmarshal(json.marshal({\"msg\": \"z\", \"value\": 0}))"), "rego:A=3 c; a; b"},
		"message once":        {rule("violation[\"A\"] contains \"a\"\n\nviolation[\"A\"] contains {\"msg\": \"a\", \"value\": 3}"), "rego:A=3 a"},
		"whole":               {rule(`violation["A"] contains {"msg": "a", "value": 3.0}`), "rego:A=3 a"},
		"fraction":            {rule(`violation["A"] contains json.unmarshal(json.marshal({"msg": "a", "value": 3.5}))`), "rego:A=1 error"},
		"largest integer":     {rule(`violation["A"] contains {"msg": "a", "value": 9007199254740991}`), "rego:A=9007199254740991 a"},
		"too large":           {rule(`violation["A"] contains json.unmarshal(json.marshal({"msg": "a", "value": 9007199254740992}))`), "rego:A=1 error"},
		"huge":                {rule(`violation["A"] contains json.unmarshal(json.marshal({"msg": "a", "value": 1e400}))`), "rego:A=1 error"},
		"text value":          {rule(`violation["A"] contains json.unmarshal(json.marshal({"msg": "a", "value": "1"}))`), "rego:A=1 error"},
		"number message":      {rule(`violation["A"] contains json.unmarshal(json.marshal({"msg": 1, "value": 1}))`), "rego:A=1 error"},
		"no value":            {rule(`violation["A"] contains json.unmarshal(json.marshal({"msg": "a"}))`), "rego:A=1 error"},
		"more keys":           {rule(`violation["A"] contains json.unmarshal(json.marshal({"msg": "a", "value": 1, "more": 1}))`), "rego:A=1 error"},
		"other type":          {rule(`violation["A"] contains json.unmarshal(json.marshal(true))`), "rego:A=1 error"},
		"one bad of two":      {rule("violation[\"A\"] contains \"a\"\n\nviolation[\"A\"] contains json.unmarshal(json.marshal(1))"), "rego:A=1 error"},
		"error":               {rule(`violation["A"] contains "a" if to_number(input.service.id) > 1`), "rego:A=1 error"},
		"error alone":         {rule(`violation["A"] contains "a" if to_number(input.service.id) > 1`) + "\n" + rule(`violation["B"] contains "b"`) + "\nmargin[\"B\"] := 1\n\nwarn[\"W\"] contains \"w\"", "rego:A=1 error\nrego:B=1 b\nW warns w"},
		"conflict":            {rule(`violation["A"] contains "a" if x == 1`) + "\n" + rule(`violation["B"] contains "b"`) + "\nx := 1\n\nx := 2 if input.route == \"internal\"", "rego:A=1 error\nrego:B=1 b"},
		"margin":              {rule(`violation["A"] contains "a" if input.route == "external"`) + "\nmargin[\"A\"] := 4", "A satisfied by 4"},
		"margin undefined":    {rule(`violation["A"] contains "a" if input.route == "external"`) + "\nmargin[\"A\"] := 4 if input.route == \"external\"", "A satisfied"},
		"margin of violated":  {rule(`violation["A"] contains "a"`) + "\nmargin[\"A\"] := 4", "rego:A=1 a"},
		"margin wrong":        {rule(`violation["A"] contains "a" if input.route == "external"`) + "\nmargin[\"A\"] := 4.5", "A satisfied\nA warns error"},
		"margin fails":        {rule(`violation["A"] contains "a" if input.route == "external"`) + "\nmargin[\"A\"] := to_number(input.service.id)", "A satisfied\nA warns error"},
		"margin undefined, B": {rule(`violation["A"] contains "a" if to_number(input.service.id) > 1`) + "\nmargin[\"A\"] := 4 if input.route == \"external\"", "rego:A=1 error"},
		"warn fails":          {rule(`violation["A"] contains "a" if input.route == "external"`) + "\nwarn[\"W\"] contains \"w\" if to_number(input.service.id) > 1\n\nwarn[\"V\"] contains \"v\"", "A satisfied\nV warns v\nW warns error"},
		"warn wrong":          {"warn[\"W\"] contains json.unmarshal(json.marshal(1))\n\nwarn[\"V\"] contains json.unmarshal(json.marshal({\"msg\": \"v\", \"value\": 3}))\n\nwarn[\"V\"] contains \"v\"", "V warns v\nW warns error"},
		"not":                 {rule(`violation["A"] contains "a" if not f(input.service.attributes.missing)`) + "\nf(x) if x", "rego:A=1 a"},
		"time":                {rule(`violation["A"] contains input.time`), "rego:A=1 2026-11-22T11:00:00.000Z"},
		"weekday":             {rule(`violation["A"] contains time.weekday(time.parse_rfc3339_ns(input.time))`), "rego:A=1 Sunday"},
		"attestation":         {rule(`violation["A"] contains input.service.attestation if input.principal.trust == 1.5`), "rego:A=1 audited"},
		"zone from elsewhere": {rule(`violation["A"] contains "a" if z(input.service.attributes)`) + "\nz(x) if time.date(json.unmarshal(sprintf(`[0, %q]`, [\"Asia/Tokyo\"])))[0] == object.get(x, \"y\", 1970)", "rego:A=1 error"},
		"not UTF-8":           {rule(`violation["A"] contains base64.decode("YYBi")`), "rego:A=1 a\uFFFDb"},
	} {
		t.Run(name, func(t *testing.T) {
			p := compiled(t, rego.Options{}, bundleOf(t, "b", map[string]string{"a.rego": policy("caio.policy.a", c.rules)}))
			got, err := p.Evaluate(context.Background(), contracts.StagePolicy, input("service", contracts.Internal, 7))
			if err != nil || show(got) != c.want {
				t.Errorf("got %v\n%s\nwant\n%s", err, show(got), c.want)
			}
		})
	}
}

// TestEvaluateFamilies checks that a family sees its packages alone, that safety sees the route only, and that one package's error leaves the others alone.
func TestEvaluateFamilies(t *testing.T) {
	conftest := strings.Replace(annotation, "{", "{id: CONF, ", 1)
	p := compiled(t, rego.Options{}, bundleOf(t, "b", map[string]string{
		"safety.rego": policy("caio.safety.a", rule(`violation["S"] contains input.route`)),
		"p.rego":      policy("caio.policy.a", rule(`violation["P1"] contains "a" if to_number(input.service.id) > 1`)),
		"q.rego":      policy("caio.policy.b", rule(`violation["P2"] contains "b"`)),
		"t.rego":      policy("caio.traits.a", conftest+`deny contains "x"`, `deny_more contains {"msg": "y", "value": 2}`, `deny_none contains "z" if input.route == "hybrid"`),
		"c.rego":      policy("caio.traits.b", strings.Replace(conftest, "CONF", "V", 1)+`violation contains "v"`),
	}))
	for family, want := range map[contracts.Family]string{
		contracts.StageSafety: "rego:S=1 external",
		contracts.StagePolicy: "rego:P1=1 error\nrego:P2=1 b",
		contracts.StageTraits: "rego:CONF=2 y; x\nrego:V=1 v",
		contracts.StageBounds: "",
	} {
		got, err := p.Evaluate(context.Background(), family, input("service", contracts.External, 0))
		if err != nil || show(got) != want {
			t.Errorf("%s: got %v\n%s\nwant\n%s", family, err, show(got), want)
		}
	}
	if got, err := p.Evaluate(context.Background(), contracts.StageSafety, rego.Input{Shared: input("", "", 0).Shared, Route: contracts.Hybrid}); err != nil || show(got) != "rego:S=1 hybrid" {
		t.Errorf("without a service: %v %s", err, show(got))
	}
	var ids []string
	for _, c := range p.Constraints() {
		ids = append(ids, string(c.Family)+" "+c.ID+" "+c.Package)
	}
	if got := strings.Join(ids, ", "); got != "traits CONF caio.traits.a, policy P1 caio.policy.a, policy P2 caio.policy.b, safety S caio.safety.a, traits V caio.traits.b" {
		t.Errorf("constraints %s", got)
	}
	if found, err := new(rego.Policies).Evaluate(context.Background(), contracts.StagePolicy, rego.Input{}); err != nil || show(found) != "" {
		t.Errorf("without policies: %v %v", found, err)
	}
}

// TestEvaluateInterrupted checks that a time-out is an error and never a finding: neither a violation nor a satisfied constraint.
func TestEvaluateInterrupted(t *testing.T) {
	p := compiled(t, rego.Options{}, bundleOf(t, "b", map[string]string{
		"p.rego": policy("caio.policy.a", rule(`violation["A"] contains "a" if count([1 | some x in numbers.range(1, 3000); some y in numbers.range(1, 3000); x * y == -1]) == 1`)),
	}))
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer stop()
	started := time.Now()
	found, err := p.Evaluate(ctx, contracts.StagePolicy, input("service", contracts.Internal, 0))
	if !errors.Is(err, context.DeadlineExceeded) || show(found) != "" || time.Since(started) > 5*time.Second {
		t.Errorf("got %v, %q after %v", err, show(found), time.Since(started))
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Evaluate(cancelled, contracts.StageSafety, input("service", contracts.Internal, 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestReasonIsBounded checks that a long reason is cut between characters.
func TestReasonIsBounded(t *testing.T) {
	p := compiled(t, rego.Options{}, bundleOf(t, "b", map[string]string{
		"p.rego": policy("caio.policy.a", rule(`violation["A"] contains sprintf("%d %s", [n, text]) if some n in numbers.range(1, 9)`), `text := concat("", [x | some i in numbers.range(1, 333); x := ["ä", "漢", "😀"][i % 3]])`),
	}))
	found, err := p.Evaluate(context.Background(), contracts.StagePolicy, input("service", contracts.Internal, 0))
	if err != nil {
		t.Fatal(err)
	}
	reason := found.Violations[0].Reason
	if len(reason) > rego.MaxReasonBytes || len(reason) < rego.MaxReasonBytes-4 || !utf8.ValidString(reason) || !strings.HasSuffix(reason, "…") || !strings.HasPrefix(reason, "1 ") {
		t.Errorf("%d bytes: %q", len(reason), reason)
	}
}

// TestSettingsReachRules checks what is merged over what.
func TestSettingsReachRules(t *testing.T) {
	b := bundleOf(t, "b", map[string]string{
		"p.rego":         policy("caio.policy.a", rule(`violation["A"] contains sprintf("%v", [[data.caio.settings.a, data.more.x]])`)),
		"data.json":      `{"caio": {"settings": {"a": {"list": ["x"], "n": 1.5, "deep": {"p": 1, "q": 1}}}}}`,
		"more/data.yaml": "x: 3\n",
		"schema.json":    `{"required": ["caio", "more"], "properties": {"more": {"required": ["x"], "properties": {"x": {"type": "integer"}}}, "caio": {"required": ["settings"], "properties": {"settings": {"required": ["a"], "properties": {"a": {"type": "object"}}}}}}}`,
	})
	o := rego.Options{
		Settings: map[string]any{"a": map[string]any{"list": []any{"y"}, "deep": map[string]any{"q": contracts.Decimal(2_250_000)}}, "core": map[string]any{}},
		Data:     map[string]any{"more": map[string]any{"x": int64(4)}},
	}
	found, err := compiled(t, o, b).Evaluate(context.Background(), contracts.StagePolicy, input("service", contracts.Internal, 0))
	if want := `rego:A=1 [{"deep": {"p": 1, "q": 2.25}, "list": ["y"], "n": 1.5}, 4]`; err != nil || show(found) != want {
		t.Errorf("got %v %s, want %s", err, show(found), want)
	}
	if _, faults := rego.Compile([]*rego.Bundle{b}, rego.Options{Data: map[string]any{"more": map[string]any{"x": "text"}}}); !faults.HasErrors() {
		t.Error("data that the schema refuses was accepted")
	}
}

// TestPackSettings checks that the data of a pack's folder is the default of its settings.
func TestPackSettings(t *testing.T) {
	b := bundleOf(t, "b", map[string]string{
		"policy/mine/mine.rego": policy("caio.policy.mine", rule(`violation["A"] contains sprintf("%v", [data.caio.settings.mine])`)),
		"policy/mine/data.json": `{"x": 1, "y": [1]}`,
		"schema.json":           `{"required": ["caio"], "properties": {"caio": {"required": ["settings"], "properties": {"settings": {"required": ["mine"], "properties": {"mine": {"type": "object"}}}}}}}`,
	})
	found, err := compiled(t, rego.Options{Settings: map[string]any{"mine": map[string]any{"x": int64(2)}}}, b).Evaluate(context.Background(), contracts.StagePolicy, input("service", contracts.Internal, 0))
	if want := `rego:A=1 {"x": 2, "y": [1]}`; err != nil || show(found) != want {
		t.Errorf("got %v %s, want %s", err, show(found), want)
	}
}

// TestOrderDoesNotMatter is the law that the order of bundles, of files and of rules in different files changes nothing.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 6).Draw(t, "bundles")
		var bundles []*rego.Bundle
		for i := range n {
			kind := rapid.SampledFrom([]string{"policy", "traits", "safety"}).Draw(t, "family")
			pkg := fmt.Sprintf("caio.%s.p%d", kind, i)
			files := map[string]string{".manifest": fmt.Sprintf(`{"roots": ["caio/%s/p%d"]}`, kind, i)}
			for j := range rapid.IntRange(1, 3).Draw(t, "files") {
				head := annotation
				if j > 0 {
					head = ""
				}
				value := rapid.IntRange(-2, 5).Draw(t, "value")
				body := rapid.SampledFrom([]string{`input.route == "external"`, `"pii" in input.request.data.labels`, `true`, `to_number(input.principal.tenant) > 1`}).Draw(t, "body")
				files[fmt.Sprintf("f%d.rego", j)] = policy(pkg, head+fmt.Sprintf(`violation["K%d"] contains {"msg": "m%d", "value": 0 + %d} if %s`, i, j, value, body))
			}
			bundles = append(bundles, bundleOf(t, fmt.Sprintf("b%d", i), files))
		}
		in := input("service", rapid.SampledFrom([]contracts.Placement{contracts.Internal, contracts.External}).Draw(t, "route"), 3, "pii")
		all := func(bundles []*rego.Bundle) string {
			p, faults := rego.Compile(bundles, rego.Options{})
			if faults.HasErrors() {
				t.Fatal(faults)
			}
			text := ""
			for _, f := range []contracts.Family{contracts.StageSafety, contracts.StagePolicy, contracts.StageTraits} {
				found, err := p.Evaluate(context.Background(), f, in)
				line, _ := json.Marshal(found)
				text += fmt.Sprintln(f, string(line), err)
			}
			return text
		}
		want := all(bundles)
		random := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
		random.Shuffle(len(bundles), func(i, j int) { bundles[i], bundles[j] = bundles[j], bundles[i] })
		for _, b := range bundles {
			random.Shuffle(len(b.Files), func(i, j int) { b.Files[i], b.Files[j] = b.Files[j], b.Files[i] })
		}
		if got := all(bundles); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// TestConcurrently evaluates one set of policies from many goroutines; the race detector watches.
func TestConcurrently(t *testing.T) {
	p := fiftyRules(t)
	want, err := p.Evaluate(context.Background(), contracts.StagePolicy, input("service", contracts.Internal, 25, "pii"))
	if err != nil {
		t.Fatal(err)
	}
	shared := input("service", contracts.Internal, 25, "pii")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 50 {
				got, err := p.Evaluate(context.Background(), contracts.StagePolicy, shared)
				if err != nil || show(got) != show(want) {
					t.Errorf("got %v %s", err, show(got))
				}
			}
		})
	}
	wait.Wait()
}

// fiftyRules are fifty constraints in five packages, with settings, a margin, and one that can't be evaluated for a service that costs 1.
func fiftyRules(t testing.TB) *rego.Policies {
	files := map[string]string{
		"data.json":   `{"caio": {"settings": {"a": {"regions": ["eu", "ch"]}}}}`,
		"schema.json": `{"required": ["caio"], "properties": {"caio": {"required": ["settings"], "properties": {"settings": {"required": ["a"], "properties": {"a": {"required": ["regions"], "properties": {"regions": {"type": "array", "items": {"type": "string"}}}}}}}}}}`,
	}
	for p := range 5 {
		parts := []string{`is_personal if "pii" in input.request.data.labels`, fmt.Sprintf(`margin["P%d-0"] := 3`, p)}
		for k := range 10 {
			id := fmt.Sprintf("P%d-%d", p, k)
			switch k % 3 {
			case 0:
				parts = append(parts, rule(fmt.Sprintf(`violation[%q] contains msg if {
	is_personal
	outside := [r | some r in input.service.privacy.regions; not r in data.caio.settings.a.regions]
	count(outside) > %d
	msg := sprintf("%%s keeps data in %%v", [input.service.id, outside])
}`, id, k/3)))
			case 1:
				parts = append(parts, rule(fmt.Sprintf(`violation[%q] contains {"msg": "too dear", "value": excess} if {
	excess := input.estimate.cost_micro_usd - %d
	excess > 0
}`, id, k*10)))
			default:
				parts = append(parts, rule(fmt.Sprintf(`violation[%q] contains "not attested" if {
	input.request.intent.type == "kind-%d"
	input.service.attestation == "self"
}`, id, k)))
			}
		}
		files[fmt.Sprintf("p%d.rego", p)] = policy(fmt.Sprintf("caio.policy.p%d", p), parts...)
	}
	return compiled(t, rego.Options{}, bundleOf(t, "b", files))
}

func BenchmarkEvaluateFiftyRules(b *testing.B) {
	p := fiftyRules(b)
	in := input("service", contracts.Internal, 5, "internal")
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Evaluate(ctx, contracts.StagePolicy, in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompileFiftyRules(b *testing.B) {
	for b.Loop() {
		fiftyRules(b)
	}
}
