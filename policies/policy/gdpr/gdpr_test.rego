package caio.policy.gdpr_test

import data.caio.policy.gdpr
import data.caio.testing
import rego.v2

settings := {
	"regions": ["eu", "eea"],
	"safeguards": {"us-with-clauses": "Art. 46(2)(c), SCC of 2026-02-01"},
	"personal_labels": ["pii", "phi"],
	"special_labels": ["phi"],
	"special_grounds": {"care": "Art. 9(2)(h)"},
	"require_purpose": false,
	"purposes": {
		"care": {"intents": ["chat"], "labels": ["pii", "phi"]},
		"support": {"intents": ["chat", "embeddings"], "labels": ["pii"]},
	},
	"intents_without_personal_data": ["search"],
}

strict := object.union(settings, {"require_purpose": true})

found(id, request, service) := result if {
	result := gdpr.violation[id] with input as testing.given(request, service)
		with data.caio.settings.gdpr as settings
}

found_strict(id, request, service) := result if {
	result := gdpr.violation[id] with input as testing.given(request, service)
		with data.caio.settings.gdpr as strict
}

personal := {"data": {"labels": ["pii"]}}

health := {"data": {"labels": ["phi"]}}

for_purpose(request, purpose) := object.union(request, {"purpose": purpose})

of_type(request, type) := object.union(request, {"intent": {"type": type}})

# GDPR-44

test_44_refuses_a_region_outside if {
	found("GDPR-44", personal, {"id": "s", "privacy": {"regions": ["eu", "us", "in"]}}) == {"s keeps data in us, in, outside eu, eea"}
}

test_44_refuses_silence if {
	found("GDPR-44", personal, {"id": "s", "privacy": {"regions": []}}) == {"s does not say where it keeps data"}
}

test_44_allows_permitted_regions if {
	found("GDPR-44", personal, {"privacy": {"regions": ["eu"]}}) == set()
	found("GDPR-44", personal, {"privacy": {"regions": ["eea", "eu"]}}) == set()
}

test_44_allows_a_recorded_instrument if {
	found("GDPR-44", personal, {"id": "us-with-clauses", "privacy": {"regions": ["us"]}}) == set()
	found("GDPR-44", personal, {"id": "us-with-clauses", "privacy": {"regions": []}}) == set()
}

test_44_is_about_personal_data if {
	found("GDPR-44", {}, {"privacy": {"regions": ["us"]}}) == set()
	found("GDPR-44", {"data": {"labels": ["confidential"]}}, {"privacy": {"regions": []}}) == set()
	count(found("GDPR-44", health, {"privacy": {"regions": ["us"]}})) == 1
}

# GDPR-5-1-B

test_5_1_b_refuses_an_unregistered_purpose if {
	found("GDPR-5-1-B", for_purpose(personal, "curiosity"), {}) == {"the purpose curiosity is not registered"}
}

test_5_1_b_refuses_an_intent_that_the_purpose_does_not_cover if {
	found("GDPR-5-1-B", of_type(for_purpose(personal, "support"), "image"), {}) == {"the purpose support does not cover image"}
}

test_5_1_b_refuses_silence_where_a_purpose_is_required if {
	found_strict("GDPR-5-1-B", personal, {}) == {"the request does not say for what purpose it uses personal data"}
}

test_5_1_b_allows_a_registered_purpose if {
	found("GDPR-5-1-B", for_purpose(personal, "support"), {}) == set()
	found_strict("GDPR-5-1-B", for_purpose(personal, "support"), {}) == set()
}

test_5_1_b_allows_no_purpose_where_none_is_required if {
	found("GDPR-5-1-B", personal, {}) == set()
}

test_5_1_b_is_about_personal_data if {
	found_strict("GDPR-5-1-B", {}, {}) == set()
	found_strict("GDPR-5-1-B", {"purpose": "curiosity"}, {}) == set()
	found_strict("GDPR-5-1-B", of_type({"purpose": "support"}, "image"), {}) == set()
}

# GDPR-5-1-C

test_5_1_c_refuses_an_intent_that_works_without if {
	found("GDPR-5-1-C", of_type(personal, "search"), {}) == {"search does not need personal data"}
}

test_5_1_c_refuses_a_label_that_the_purpose_is_not_registered_for if {
	found("GDPR-5-1-C", {"data": {"labels": ["phi", "pii"]}, "purpose": "support"}, {}) == {"the purpose support is not registered for phi"}
}

test_5_1_c_allows_what_the_purpose_needs if {
	found("GDPR-5-1-C", for_purpose(personal, "support"), {}) == set()
	found("GDPR-5-1-C", {"data": {"labels": ["internal", "phi", "pii"]}, "purpose": "care"}, {}) == set()
	found("GDPR-5-1-C", personal, {}) == set()
}

test_5_1_c_is_about_personal_data if {
	found("GDPR-5-1-C", {"intent": {"type": "search"}}, {}) == set()
}

# GDPR-28-3-A

test_28_3_a_refuses_a_service_that_trains if {
	found("GDPR-28-3-A", personal, {"id": "s", "privacy": {"trains_on_data": true}}) == {"s trains on what it is sent"}
}

test_28_3_a_refuses_silence if {
	found("GDPR-28-3-A", personal, {"id": "s"}) == {"s does not say whether it trains on what it is sent"}
}

test_28_3_a_allows_a_service_that_does_not_train if {
	found("GDPR-28-3-A", personal, {"privacy": {"trains_on_data": false}}) == set()
}

test_28_3_a_is_about_personal_data if {
	found("GDPR-28-3-A", {}, {"privacy": {"trains_on_data": true}}) == set()
	found("GDPR-28-3-A", {}, {}) == set()
}

# GDPR-9

test_9_refuses_without_a_ground if {
	found("GDPR-9", health, {}) == {`no ground of Art. 9(2) is on record for phi with purpose ""`}
	found("GDPR-9", for_purpose(health, "support"), {}) == {`no ground of Art. 9(2) is on record for phi with purpose "support"`}
}

test_9_allows_with_a_ground if {
	found("GDPR-9", for_purpose(health, "care"), {}) == set()
}

test_9_is_about_special_categories if {
	found("GDPR-9", personal, {}) == set()
	found("GDPR-9", {}, {}) == set()
}
