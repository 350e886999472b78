package caio.policy.vendors_test

import data.caio.policy.vendors
import data.caio.testing
import rego.v2

settings := {
	"approved": ["openai-*", "llama.cpp"],
	"blocked": ["*-preview"],
	"min_attestation": "self",
	"min_attestation_by_label": {"phi": "verified", "secret": "audited"},
	"own_localities": ["on_device", "local"],
	"certifications_by_label": {"pii": ["soc2", "iso27001"], "phi": ["hipaa"]},
}

everyone_audited := object.union(settings, {"min_attestation": "audited"})

found(id, labels, service) := result if {
	result := vendors.violation[id] with input as testing.given({"data": {"labels": labels}}, service)
		with data.caio.settings.vendors as settings
}

found_audited(service) := result if {
	result := vendors.violation["VENDOR-ATTESTATION"] with input as testing.given({}, service)
		with data.caio.settings.vendors as everyone_audited
}

# VENDOR-APPROVED

test_approved_refuses_the_unknown if {
	found("VENDOR-APPROVED", [], {"id": "someone"}) == {"someone is not among the approved services"}
}

test_approved_refuses_the_blocked if {
	found("VENDOR-APPROVED", [], {"id": "openai-preview"}) == {"openai-preview is blocked"}
}

test_approved_refuses_all_when_the_list_is_empty if {
	refused := vendors.violation["VENDOR-APPROVED"] with input as testing.given({}, {"id": "llama.cpp"})
		with data.caio.settings.vendors as object.union(settings, {"approved": []})
	refused == {"llama.cpp is not among the approved services"}
}

test_approved_allows_what_a_pattern_names if {
	found("VENDOR-APPROVED", [], {"id": "openai-embeddings"}) == set()
	found("VENDOR-APPROVED", [], {"id": "openai-v1.2"}) == set()
	found("VENDOR-APPROVED", [], {"id": "llama.cpp"}) == set()
}

# VENDOR-ATTESTATION

test_attestation_refuses_less_than_every_request_needs if {
	found_audited({"id": "s", "attestation": "self"}) == {"s is attested self, every request needs audited"}
}

test_attestation_allows_what_every_request_needs if {
	found_audited({"attestation": "audited"}) == set()
	found_audited({"attestation": "verified"}) == set()
	found("VENDOR-ATTESTATION", [], {"attestation": "self"}) == set()
}

test_attestation_refuses_less_than_a_label_needs if {
	found("VENDOR-ATTESTATION", ["phi", "secret"], {"id": "s", "attestation": "self"}) == {
		"s is attested self, phi data needs verified",
		"s is attested self, secret data needs audited",
	}
	found("VENDOR-ATTESTATION", ["phi"], {"id": "s", "attestation": "audited"}) == {"s is attested audited, phi data needs verified"}
}

test_attestation_allows_what_a_label_needs if {
	found("VENDOR-ATTESTATION", ["phi", "secret"], {"attestation": "verified"}) == set()
	found("VENDOR-ATTESTATION", ["secret"], {"attestation": "audited"}) == set()
	found("VENDOR-ATTESTATION", ["pii"], {"attestation": "self"}) == set()
}

# VENDOR-CERTIFIED

test_certified_refuses_a_vendor_without if {
	found("VENDOR-CERTIFIED", ["pii"], {"id": "s", "privacy": {"locality": "cloud", "certifications": ["hipaa"]}}) == {"s holds none of soc2, iso27001, one of which pii data needs"}
}

test_certified_refuses_silence if {
	count(found("VENDOR-CERTIFIED", ["pii", "phi"], {"privacy": {"locality": "private"}})) == 2
}

test_certified_allows_one_of_those_named if {
	found("VENDOR-CERTIFIED", ["pii"], {"privacy": {"locality": "cloud", "certifications": ["iso27001"]}}) == set()
	found("VENDOR-CERTIFIED", ["pii", "phi"], {"privacy": {"locality": "cloud", "certifications": ["hipaa", "soc2"]}}) == set()
}

test_certified_allows_the_organisations_own if {
	found("VENDOR-CERTIFIED", ["pii", "phi"], {"privacy": {"locality": "local"}}) == set()
}

test_certified_allows_data_that_asks_for_nothing if {
	found("VENDOR-CERTIFIED", ["internal"], {"privacy": {"locality": "cloud"}}) == set()
	found("VENDOR-CERTIFIED", [], {"privacy": {"locality": "cloud"}}) == set()
}
