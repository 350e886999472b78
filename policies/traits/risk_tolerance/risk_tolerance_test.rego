package caio.traits.risk_tolerance_test

import data.caio.testing
import data.caio.traits.risk_tolerance
import rego.v2

settings := {"levels": [
	{"up_to": 0.6, "min_availability": 0.9, "max_latency_ms": 5000, "max_cost_micro_usd": 1000, "accepts_guesses": true},
	{"up_to": 0.3, "min_availability": 0.96, "max_latency_ms": 1000, "max_cost_micro_usd": 100, "accepts_guesses": false},
]}

found(id, trait, parts) := result if {
	result := risk_tolerance.violation[id] with input as testing.candidate(object.union(
		{"request": {"traits": {"risk_tolerance": trait}}, "service": {"id": "s"}},
		parts,
	))
		with data.caio.settings.risk_tolerance as settings
}

# RISK-FAILURE

available(ratio, attestation) := {"service": {"attestation": attestation, "guarantees": {"availability": {"min": ratio}}}}

test_failure_refuses_less_than_a_reached_level_needs if {
	found("RISK-FAILURE", 0.6, available(0.85, "verified")) == {{"msg": "s, attested verified, counts as available 0.85 of the time, risk_tolerance 0.6 needs 0.9", "value": 50000}}
	found("RISK-FAILURE", 0.6, available(0.899999, "self")) == {{"msg": "s, attested self, counts as available 0.899999 of the time, risk_tolerance 0.6 needs 0.9", "value": 1}}
}

test_failure_refuses_by_every_level_reached if {
	{shortfall.value | some shortfall in found("RISK-FAILURE", 0, available(0.8, "verified"))} == {100000, 160000}
}

test_failure_believes_no_more_than_was_looked_at if {
	found("RISK-FAILURE", 0.3, available(0.9999, "self")) == {{"msg": "s, attested self, counts as available 0.9 of the time, risk_tolerance 0.3 needs 0.96", "value": 60000}}
	found("RISK-FAILURE", 0.3, available(0.9999, "audited")) == set()
	found("RISK-FAILURE", 0.3, available(0.95, "audited")) == {{"msg": "s, attested audited, counts as available 0.95 of the time, risk_tolerance 0.3 needs 0.96", "value": 10000}}
}

test_failure_believes_an_audited_contract_up_to_a_bound if {
	demanding := {"levels": [object.union(settings.levels[0], {"min_availability": 0.98})]}
	refused := risk_tolerance.violation["RISK-FAILURE"] with input as testing.candidate(object.union({"request": {"traits": {"risk_tolerance": 0}}}, available(1, "audited")))
		with data.caio.settings.risk_tolerance as demanding
	{shortfall.value | some shortfall in refused} == {10000}
	allowed := risk_tolerance.violation["RISK-FAILURE"] with input as testing.candidate(object.union({"request": {"traits": {"risk_tolerance": 0}}}, available(1, "verified")))
		with data.caio.settings.risk_tolerance as demanding
	allowed == set()
}

test_failure_refuses_silence if {
	found("RISK-FAILURE", 0.6, {}) == {{"msg": "s, attested self, counts as available 0 of the time, risk_tolerance 0.6 needs 0.9", "value": 900000}}
}

test_failure_allows_what_the_levels_reached_need if {
	found("RISK-FAILURE", 0.6, available(0.9, "self")) == set()
	found("RISK-FAILURE", 0.31, available(0.9, "verified")) == set()
	found("RISK-FAILURE", 0, available(0.96, "verified")) == set()
}

test_failure_allows_all_above_every_level if {
	found("RISK-FAILURE", 0.61, {}) == set()
	found("RISK-FAILURE", 1, {}) == set()
}

# RISK-DELAY

taking(latency) := {"estimate": {"latency_ms": latency}}

test_delay_refuses_more_than_a_reached_level_allows if {
	found("RISK-DELAY", 0.6, taking(5001)) == {{"msg": "s is expected to take 5001 ms, risk_tolerance 0.6 allows 5000", "value": 1}}
	{excess.value | some excess in found("RISK-DELAY", 0.1, taking(6000))} == {1000, 5000}
}

test_delay_refuses_the_unknown if {
	found("RISK-DELAY", 0.6, {}) == {"how long s takes is unknown, risk_tolerance 0.6 allows 5000 ms"}
}

test_delay_allows_what_the_levels_reached_allow if {
	found("RISK-DELAY", 0.6, taking(5000)) == set()
	found("RISK-DELAY", 0, taking(1000)) == set()
}

test_delay_allows_all_above_every_level if {
	found("RISK-DELAY", 0.7, taking(90000)) == set()
	found("RISK-DELAY", 1, {}) == set()
}

# RISK-COST

costing(cost) := {"estimate": {"cost_micro_usd": cost}}

test_cost_refuses_more_than_a_reached_level_allows if {
	found("RISK-COST", 0.6, costing(1250)) == {{"msg": "s would cost 1250 micro-USD, risk_tolerance 0.6 allows 1000", "value": 250}}
	found("RISK-COST", 0.6, costing(1001)) == {{"msg": "s would cost 1001 micro-USD, risk_tolerance 0.6 allows 1000", "value": 1}}
	{excess.value | some excess in found("RISK-COST", 0.3, costing(1100))} == {100, 1000}
}

test_cost_allows_what_the_levels_reached_allow if {
	found("RISK-COST", 0.6, costing(1000)) == set()
	found("RISK-COST", 0, costing(100)) == set()
}

test_cost_allows_all_above_every_level if {
	found("RISK-COST", 1, costing(90000)) == set()
}

# RISK-GUESS

guessing(sizes, cost) := {"request": {"estimate": {"defaulted": sizes}}, "service": {"cost": cost}}

by_input := {"per_million_input_tokens_micro_usd": 20000}

by_output := {"per_million_output_tokens_micro_usd": 20000}

test_guess_refuses_a_price_by_guessed_tokens if {
	found("RISK-GUESS", 0.3, guessing(["input_tokens"], by_input)) == {"the price of s rests on a guess of input_tokens, risk_tolerance 0.3 accepts none"}
	found("RISK-GUESS", 0.3, guessing(["output_tokens"], by_output)) == {"the price of s rests on a guess of output_tokens, risk_tolerance 0.3 accepts none"}
	count(found("RISK-GUESS", 0, guessing(["input_tokens", "output_tokens"], object.union(by_input, by_output)))) == 2
}

test_guess_allows_a_price_that_does_not_depend_on_it if {
	found("RISK-GUESS", 0, guessing(["output_tokens"], by_input)) == set()
	found("RISK-GUESS", 0, guessing(["input_tokens"], by_output)) == set()
	found("RISK-GUESS", 0, guessing(["input_tokens", "output_tokens"], {"per_call_micro_usd": 20000})) == set()
}

test_guess_allows_what_was_measured if {
	found("RISK-GUESS", 0, guessing([], object.union(by_input, by_output))) == set()
}

test_guess_allows_a_level_that_accepts_it if {
	found("RISK-GUESS", 0.31, guessing(["input_tokens"], by_input)) == set()
	found("RISK-GUESS", 1, guessing(["input_tokens"], by_input)) == set()
}
