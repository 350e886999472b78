package caio.policy.spend_test

import data.caio.policy.spend
import data.caio.testing
import rego.v2

settings := {
	"default_micro_usd": 1000,
	"by_role": {"analyst": 5000, "guest": 100},
	"by_intent": {"image": 400},
	"by_tenant": {"acme": 6000},
	"budget_required": ["research"],
	"max_defaulted_micro_usd": 50,
}

found(id, parts) := result if {
	result := spend.violation[id] with input as testing.candidate(parts)
		with data.caio.settings.spend as settings
}

left(parts) := result if {
	result := spend.margin["SPEND-ROLE"] with input as testing.candidate(parts)
		with data.caio.settings.spend as settings
}

call(cost, roles) := {"principal": {"roles": roles}, "service": {"id": "s"}, "estimate": {"cost_micro_usd": cost}}

# SPEND-ROLE

test_role_refuses_over_the_default_ceiling if {
	found("SPEND-ROLE", call(1001, [])) == {{"msg": "s would cost 1001 micro-USD, 1 more than the ceiling of the caller's role", "value": 1}}
	found("SPEND-ROLE", call(1250, ["nobody"])) == {{"msg": "s would cost 1250 micro-USD, 250 more than the ceiling of the caller's role", "value": 250}}
}

test_role_refuses_over_the_ceiling_of_the_role if {
	found("SPEND-ROLE", call(101, ["guest"])) == {{"msg": "s would cost 101 micro-USD, 1 more than the ceiling of the caller's role", "value": 1}}
}

test_role_takes_the_highest_of_several if {
	found("SPEND-ROLE", call(5000, ["analyst", "guest"])) == set()
	{excess.value | some excess in found("SPEND-ROLE", call(5002, ["analyst", "guest"]))} == {2}
}

test_role_allows_up_to_the_ceiling if {
	found("SPEND-ROLE", call(1000, [])) == set()
	found("SPEND-ROLE", call(100, ["guest"])) == set()
}

test_role_says_what_is_left if {
	left(call(40, ["guest"])) == 60
	left(call(100, ["guest"])) == 0
	not left(call(101, ["guest"]))
}

# SPEND-INTENT

an_image(cost) := object.union(call(cost, []), {"request": {"intent": {"type": "image"}}})

test_intent_refuses_over_its_ceiling if {
	found("SPEND-INTENT", an_image(450)) == {{"msg": "s would cost 450 micro-USD, 50 more than the ceiling of image", "value": 50}}
}

test_intent_allows_up_to_its_ceiling if {
	found("SPEND-INTENT", an_image(400)) == set()
}

test_intent_without_a_ceiling_is_free if {
	found("SPEND-INTENT", call(450, [])) == set()
}

# SPEND-TENANT

test_tenant_refuses_over_its_ceiling if {
	found("SPEND-TENANT", call(6100, [])) == {{"msg": "s would cost 6100 micro-USD, 100 more than the ceiling of the tenant acme", "value": 100}}
}

test_tenant_allows_up_to_its_ceiling if {
	found("SPEND-TENANT", call(6000, [])) == set()
}

test_tenant_without_a_ceiling_is_free if {
	found("SPEND-TENANT", {"principal": {"tenant": "other"}, "estimate": {"cost_micro_usd": 6100}}) == set()
}

# SPEND-BUDGET

test_budget_refuses_a_request_without if {
	found("SPEND-BUDGET", {"request": {"intent": {"type": "research"}}}) == {"research needs a budget, and the request names none"}
}

test_budget_allows_a_request_with if {
	found("SPEND-BUDGET", {"request": {"intent": {"type": "research"}, "limits": {"max_cost_micro_usd": 0}}}) == set()
}

test_budget_is_about_the_intents_named if {
	found("SPEND-BUDGET", {"request": {"intent": {"type": "chat"}}}) == set()
}

# SPEND-ESTIMATE

by_input := {"per_million_input_tokens_micro_usd": 20000}

by_output := {"per_million_output_tokens_micro_usd": 20000}

guessed(cost, defaulted, prices) := object.union(call(cost, []), {"request": {"estimate": {"defaulted": defaulted}}, "service": {"cost": prices}})

test_estimate_refuses_a_dear_guess if {
	found("SPEND-ESTIMATE", guessed(80, ["input_tokens", "output_tokens"], object.union(by_input, by_output))) == {{"msg": "s would cost 80 micro-USD, 30 more than what a guess of input_tokens, output_tokens may cost", "value": 30}}
	found("SPEND-ESTIMATE", guessed(51, ["input_tokens", "output_tokens"], by_input)) == {{"msg": "s would cost 51 micro-USD, 1 more than what a guess of input_tokens may cost", "value": 1}}
	found("SPEND-ESTIMATE", guessed(51, ["input_tokens", "output_tokens"], by_output)) == {{"msg": "s would cost 51 micro-USD, 1 more than what a guess of output_tokens may cost", "value": 1}}
}

test_estimate_allows_a_cheap_guess if {
	found("SPEND-ESTIMATE", guessed(50, ["output_tokens"], by_output)) == set()
}

test_estimate_allows_what_was_measured if {
	found("SPEND-ESTIMATE", guessed(80, [], object.union(by_input, by_output))) == set()
}

test_estimate_allows_a_price_that_does_not_depend_on_it if {
	found("SPEND-ESTIMATE", guessed(80, ["output_tokens"], by_input)) == set()
	found("SPEND-ESTIMATE", guessed(80, ["input_tokens"], by_output)) == set()
	found("SPEND-ESTIMATE", guessed(80, ["input_tokens", "output_tokens"], {"per_call_micro_usd": 80})) == set()
}
