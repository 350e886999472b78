package caio.policy.on_device_test

import data.caio.policy.on_device
import data.caio.testing
import rego.v2

settings := {
	"device_intents": ["face.*", "dictation"],
	"device_labels": ["phi"],
	"premises_intents": ["incident.*"],
	"premises_labels": ["secret"],
	"premises_localities": ["on_device", "local", "private"],
	"min_attestation": "self",
}

audited := object.union(settings, {"min_attestation": "audited"})

given(type, labels, locality, route) := testing.candidate({
	"request": {"intent": {"type": type}, "data": {"labels": labels}},
	"service": {"id": "s", "placement": route, "privacy": {"locality": locality}},
	"route": route,
})

found(id, candidate) := result if {
	result := on_device.violation[id] with input as candidate
		with data.caio.settings.on_device as settings
}

attested(type, labels, attestation) := result if {
	result := on_device.violation["STAY-ATTESTED"] with input as testing.given(
		{"intent": {"type": type}, "data": {"labels": labels}},
		{"id": "s", "attestation": attestation},
	)
		with data.caio.settings.on_device as audited
}

# STAY-DEVICE

test_device_refuses_every_other_place if {
	found("STAY-DEVICE", given("dictation", [], "local", "internal")) == {"dictation stays on the device, and s works at locality local"}
	found("STAY-DEVICE", given("face.match", [], "private", "hybrid")) == {"face.match stays on the device, and s works at locality private"}
	found("STAY-DEVICE", given("chat", ["phi"], "cloud", "external")) == {"phi data stays on the device, and s works at locality cloud"}
}

test_device_says_all_that_stays if {
	found("STAY-DEVICE", given("dictation", ["phi"], "local", "internal")) == {
		"dictation stays on the device, and s works at locality local",
		"phi data stays on the device, and s works at locality local",
	}
}

test_device_allows_the_device if {
	found("STAY-DEVICE", given("face.match", ["phi"], "on_device", "internal")) == set()
}

test_device_is_about_what_belongs_there if {
	found("STAY-DEVICE", given("chat", ["pii"], "cloud", "external")) == set()
	found("STAY-DEVICE", given("face", [], "cloud", "external")) == set()
	found("STAY-DEVICE", given("incident.report", ["secret"], "cloud", "external")) == set()
}

# STAY-PREMISES

test_premises_refuses_every_other_place if {
	found("STAY-PREMISES", given("incident.report", [], "cloud", "external")) == {"incident.report stays on the premises, and s works at locality cloud, on the route external"}
	found("STAY-PREMISES", given("chat", ["internal", "secret"], "cloud", "hybrid")) == {"secret data stays on the premises, and s works at locality cloud, on the route hybrid"}
}

test_premises_refuses_a_service_that_may_send_on if {
	found("STAY-PREMISES", given("chat", ["secret"], "private", "hybrid")) == {"secret data stays on the premises, and s works at locality private, on the route hybrid"}
}

test_premises_allows_the_premises if {
	found("STAY-PREMISES", given("incident.report", ["secret"], "private", "internal")) == set()
	found("STAY-PREMISES", given("incident.report", [], "on_device", "internal")) == set()
}

test_premises_without_any_allow_nothing if {
	refused := on_device.violation["STAY-PREMISES"] with input as given("incident.report", [], "local", "internal")
		with data.caio.settings.on_device as object.union(settings, {"premises_localities": []})
	count(refused) == 1
}

test_premises_is_about_what_belongs_there if {
	found("STAY-PREMISES", given("chat", ["pii"], "cloud", "external")) == set()
	found("STAY-PREMISES", given("dictation", ["phi"], "cloud", "external")) == set()
	found("STAY-PREMISES", given("chat", [], "cloud", "external")) == set()
}

# STAY-ATTESTED

test_attested_refuses_less_than_required if {
	attested("incident.report", [], "self") == {"s is attested self, and a service for incident.report needs audited"}
	attested("chat", ["phi", "secret"], "self") == {
		"s is attested self, and a service for phi data needs audited",
		"s is attested self, and a service for secret data needs audited",
	}
}

test_attested_allows_what_is_required if {
	attested("dictation", ["secret"], "audited") == set()
	attested("dictation", ["secret"], "verified") == set()
	found("STAY-ATTESTED", given("dictation", ["secret"], "on_device", "internal")) == set()
}

test_attested_is_about_what_stays if {
	attested("chat", ["pii"], "self") == set()
	attested("chat", [], "self") == set()
}
