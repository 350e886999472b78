package caio.traits.conservative_test

import data.caio.testing
import data.caio.traits.conservative
import rego.v2

settings := {
	"levels": [
		{"from": 0.4, "min_attestation": "self", "certifications": [], "min_version": "0.2.0"},
		{"from": 0.6, "min_attestation": "audited", "certifications": ["soc2", "iso27001"], "min_version": "1.0.0"},
		{"from": 0.9, "min_attestation": "verified", "certifications": ["iso27001"], "min_version": "2.0.0"},
	],
	"own_localities": ["on_device", "local"],
	"refused_tags": ["beta", "deprecated"],
}

found(id, trait, service) := result if {
	result := conservative.violation[id] with input as testing.given({"traits": {"conservative": trait}}, object.union({"id": "s"}, service))
		with data.caio.settings.conservative as settings
}

# CONSERVATIVE-ATTESTED

test_attested_refuses_less_than_a_reached_level_needs if {
	found("CONSERVATIVE-ATTESTED", 0.6, {"attestation": "self"}) == {"s is attested self, conservative 0.6 needs audited"}
}

test_attested_refuses_by_every_level_reached if {
	found("CONSERVATIVE-ATTESTED", 1, {"attestation": "self"}) == {
		"s is attested self, conservative 1 needs audited",
		"s is attested self, conservative 1 needs verified",
	}
	found("CONSERVATIVE-ATTESTED", 0.9, {"attestation": "audited"}) == {"s is attested audited, conservative 0.9 needs verified"}
}

test_attested_allows_what_the_levels_reached_need if {
	found("CONSERVATIVE-ATTESTED", 0.4, {"attestation": "self"}) == set()
	found("CONSERVATIVE-ATTESTED", 0.89, {"attestation": "audited"}) == set()
	found("CONSERVATIVE-ATTESTED", 1, {"attestation": "verified"}) == set()
}

test_attested_allows_all_below_the_first_level if {
	found("CONSERVATIVE-ATTESTED", 0, {"attestation": "self"}) == set()
}

# CONSERVATIVE-CERTIFIED

holding(certifications) := {"privacy": {"locality": "cloud", "certifications": certifications}}

test_certified_refuses_a_vendor_without if {
	found("CONSERVATIVE-CERTIFIED", 0.6, holding(["hipaa"])) == {"s holds none of soc2, iso27001, one of which conservative 0.6 needs"}
	found("CONSERVATIVE-CERTIFIED", 0.9, holding(["soc2"])) == {"s holds none of iso27001, one of which conservative 0.9 needs"}
}

test_certified_refuses_silence if {
	count(found("CONSERVATIVE-CERTIFIED", 0.9, holding([]))) == 2
	count(found("CONSERVATIVE-CERTIFIED", 0.6, {"privacy": {"locality": "private"}})) == 1
}

test_certified_allows_one_of_those_named if {
	found("CONSERVATIVE-CERTIFIED", 0.6, holding(["hipaa", "soc2"])) == set()
	found("CONSERVATIVE-CERTIFIED", 1, holding(["iso27001"])) == set()
}

test_certified_allows_the_organisations_own if {
	found("CONSERVATIVE-CERTIFIED", 1, {"privacy": {"locality": "local"}}) == set()
}

test_certified_allows_a_level_that_asks_for_none if {
	found("CONSERVATIVE-CERTIFIED", 0.4, holding([])) == set()
	found("CONSERVATIVE-CERTIFIED", 0, holding([])) == set()
}

# CONSERVATIVE-MATURE

test_mature_refuses_an_early_version if {
	found("CONSERVATIVE-MATURE", 0.6, {"version": "0.9.9"}) == {"s has the version 0.9.9, conservative 0.6 needs 1.0.0"}
	found("CONSERVATIVE-MATURE", 0.4, {"version": "0.1.9"}) == {"s has the version 0.1.9, conservative 0.4 needs 0.2.0"}
}

test_mature_refuses_a_pre_release if {
	found("CONSERVATIVE-MATURE", 0.6, {"version": "1.0.0-rc.1"}) == {"s has the version 1.0.0-rc.1, conservative 0.6 needs 1.0.0"}
}

test_mature_refuses_by_every_level_reached if {
	count(found("CONSERVATIVE-MATURE", 0.9, {"version": "0.1.0"})) == 3
}

test_mature_refuses_a_tag if {
	found("CONSERVATIVE-MATURE", 0.4, {"tags": ["chat", "Beta"]}) == {"s is tagged Beta, which conservative 0.4 does not allow"}
}

test_mature_allows_what_is_released if {
	found("CONSERVATIVE-MATURE", 0.6, {"version": "1.0.0", "tags": ["chat", "eu"]}) == set()
	found("CONSERVATIVE-MATURE", 0.6, {"version": "1.10.0"}) == set()
	found("CONSERVATIVE-MATURE", 1, {"version": "10.0.0"}) == set()
}

test_mature_allows_all_below_the_first_level if {
	found("CONSERVATIVE-MATURE", 0.39, {"version": "0.0.1", "tags": ["beta"]}) == set()
}
