package server_test

import (
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
)

// A bundle that takes too long is set aside, and told; what waits for another tenant's is evaluated all the same.
func TestSlowShadowIsSetAside(t *testing.T) {
	i := start(t)
	slow, quick := i.token("acme", auth.Operator, auth.App), i.token("beta", auth.Operator, auth.App)
	i.house(slow)
	i.house(quick)
	const loop = `package caio.policy.regional

import rego.v2

# METADATA
# title: Slow
# custom:
#   severity: low
#   controls: []
#   remedy: Wait.
violation["SLOW"] contains "slow" if {
	input.request.intent.type == "embeddings"
	count([1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a + b == 0]) == 1
}
`
	files := refusing("eu")
	for name := range files {
		if strings.HasSuffix(name, ".rego") && !strings.HasSuffix(name, "_test.rego") {
			files[name] = loop
		}
		if strings.HasSuffix(name, "_test.rego") {
			files[name] = "package caio.policy.regional\n\nimport rego.v2\nimport data.caio.testing\n\ntest_other if count(violation[\"SLOW\"]) == 0 with input as testing.given({\"intent\": {\"type\": \"chat\"}}, {})\n"
		}
	}
	late := i.shadow(slow, i.pushed(slow, "regional", files)).Digest
	good := i.shadow(quick, i.pushed(quick, "regional", refusing("eu"))).Digest
	for range 8 {
		i.decide(slow, embed)
	}
	i.decide(quick, embed)
	if report := i.evaluated(quick, good, 1); report.Started.Dropped != 0 || report.Started.Failed != 0 {
		t.Errorf("%+v", report.Started)
	}
	if before := i.shadowReport(slow, late, "").Started; before.Failed > 3 {
		t.Errorf("another tenant's waited for all of them: %+v", before)
	}
	report := i.evaluated(slow, late, 8)
	if report.Started != (server.ShadowCounts{Failed: 5, Dropped: 3}) || !strings.Contains(report.Fault, "set aside") || !strings.Contains(i.metricsText(), "caio_shadows_set_aside_total 1\n") {
		t.Errorf("%+v %q", report.Started, report.Fault)
	}
}
