package caio.policy.hipaa_test

import data.caio.policy.hipaa
import data.caio.testing
import rego.v2

settings := {
	"labels": ["phi", "claims"],
	"own_localities": ["on_device", "local"],
	"agreements": {"with-baa": "BAA of 2026-02-01"},
	"without_transmission": ["on_device"],
	"kept_nowhere_exempt": true,
	"alternatives": {"in_transit": {"by-cable": "risk analysis 2026-03, 4.2"}, "at_rest": {"in-vault": "risk analysis 2026-03, 4.3"}},
	"intents_without_phi": ["search"],
	"require_role": false,
	"roles": ["nurse"],
}

strict := object.union(settings, {"require_role": true, "kept_nowhere_exempt": false})

found(id, request, service) := found_under(settings, id, {"request": request, "service": service})

found_under(chosen, id, parts) := result if {
	whole := testing.candidate(parts) with data.caio.settings.core.labels as ["claims"]
	result := hipaa.violation[id] with input as whole with data.caio.settings.hipaa as chosen
}

health := {"data": {"labels": ["phi"]}}

# HIPAA-502-E

test_502_e_refuses_without_an_agreement if {
	found("HIPAA-502-E", health, {"id": "s", "privacy": {"locality": "cloud"}}) == {"no business associate agreement is on record for s"}
	found("HIPAA-502-E", health, {"id": "s", "privacy": {"locality": "private"}}) == {"no business associate agreement is on record for s"}
}

test_502_e_does_not_take_a_certification_for_an_agreement if {
	count(found("HIPAA-502-E", health, {"privacy": {"locality": "cloud", "certifications": ["hipaa"]}})) == 1
}

test_502_e_allows_an_agreement_on_record if {
	found("HIPAA-502-E", health, {"id": "with-baa", "privacy": {"locality": "cloud"}}) == set()
}

test_502_e_allows_the_organisations_own if {
	found("HIPAA-502-E", health, {"privacy": {"locality": "local"}}) == set()
	found("HIPAA-502-E", health, {"privacy": {"locality": "on_device"}}) == set()
}

test_502_e_is_about_health_information if {
	found("HIPAA-502-E", {}, {"privacy": {"locality": "cloud"}}) == set()
	found("HIPAA-502-E", {"data": {"labels": ["pii"]}}, {"privacy": {"locality": "cloud"}}) == set()
}

# HIPAA-312-E

test_312_e_refuses_without_encryption if {
	found("HIPAA-312-E", health, {"id": "s", "privacy": {"encryption": {"in_transit": false, "at_rest": true}}}) == {"s does not state that it encrypts in transit"}
}

test_312_e_refuses_silence if {
	count(found("HIPAA-312-E", health, {"privacy": {"locality": "local"}})) == 1
}

test_312_e_allows_encryption if {
	found("HIPAA-312-E", health, {"privacy": {"encryption": {"in_transit": true}}}) == set()
}

test_312_e_allows_what_does_not_leave_the_device if {
	found("HIPAA-312-E", health, {"privacy": {"locality": "on_device"}}) == set()
}

test_312_e_allows_an_alternative_on_record if {
	found("HIPAA-312-E", health, {"id": "by-cable"}) == set()
	count(found("HIPAA-312-E", health, {"id": "in-vault"})) == 1
}

test_312_e_is_about_health_information if {
	found("HIPAA-312-E", {"data": {"labels": ["pii"]}}, {}) == set()
}

# HIPAA-312-A

test_312_a_refuses_without_encryption if {
	found("HIPAA-312-A", health, {"id": "s", "privacy": {"encryption": {"in_transit": true, "at_rest": false}, "retention_days": 30}}) == {"s states neither that it encrypts at rest nor that it keeps nothing"}
}

test_312_a_refuses_silence if {
	count(found("HIPAA-312-A", health, {})) == 1
}

test_312_a_allows_encryption if {
	found("HIPAA-312-A", health, {"privacy": {"encryption": {"at_rest": true}, "retention_days": 30}}) == set()
}

test_312_a_allows_a_service_that_keeps_nothing if {
	found("HIPAA-312-A", health, {"privacy": {"retention_days": 0}}) == set()
}

test_312_a_can_ask_for_encryption_all_the_same if {
	count(found_under(strict, "HIPAA-312-A", {"request": health, "service": {"privacy": {"retention_days": 0}}})) == 1
}

test_312_a_allows_an_alternative_on_record if {
	found("HIPAA-312-A", health, {"id": "in-vault"}) == set()
	count(found("HIPAA-312-A", health, {"id": "by-cable"})) == 1
}

test_312_a_is_about_health_information if {
	found("HIPAA-312-A", {"data": {"labels": ["pii"]}}, {}) == set()
}

# HIPAA-502-B

test_502_b_refuses_an_intent_that_works_without if {
	found("HIPAA-502-B", {"intent": {"type": "search"}, "data": {"labels": ["claims"]}}, {}) == {"search does not need health information"}
}

test_502_b_allows_an_intent_that_needs_it if {
	found("HIPAA-502-B", health, {}) == set()
}

test_502_b_refuses_a_caller_without_a_role_that_needs_it if {
	found_under(strict, "HIPAA-502-B", {"request": health, "principal": {"roles": ["marketing"]}}) == {"none of the caller's roles needs health information"}
}

test_502_b_refuses_silence_of_the_token if {
	count(found_under(strict, "HIPAA-502-B", {"request": health})) == 1
}

test_502_b_allows_a_role_that_needs_it if {
	found_under(strict, "HIPAA-502-B", {"request": health, "principal": {"roles": ["clerk", "nurse"]}}) == set()
}

test_502_b_is_about_health_information if {
	found("HIPAA-502-B", {"intent": {"type": "search"}}, {}) == set()
	found_under(strict, "HIPAA-502-B", {"request": {"data": {"labels": ["pii"]}}}) == set()
}
