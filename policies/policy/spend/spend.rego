# What one call may cost. Money is integer micro-USD: 1000000 is a dollar. G is how much the estimate exceeds the ceiling.
package caio.policy.spend

import rego.v2

# METADATA
# title: Within the ceiling of the caller's role
# description: >-
#   The estimated cost of the call is at most the highest ceiling among the caller's roles, or the default ceiling for a caller none of whose roles has one. So no call is without a ceiling.
# custom:
#   severity: medium
#   controls: [FinOps Framework Policy and Governance, COBIT 2019 APO06]
#   remedy: Choose a cheaper service, make the request smaller, or have the ceiling of the role raised in settings.spend.by_role.
violation["SPEND-ROLE"] contains over(role_ceiling, "the ceiling of the caller's role") if input.estimate.cost_micro_usd > role_ceiling

margin["SPEND-ROLE"] := role_ceiling - input.estimate.cost_micro_usd if input.estimate.cost_micro_usd <= role_ceiling

# METADATA
# title: Within the ceiling of the intent
# description: The estimated cost of the call is at most the ceiling of its intent type, where there is one.
# custom:
#   severity: medium
#   controls: [FinOps Framework Policy and Governance, COBIT 2019 APO06]
#   remedy: Choose a cheaper service, make the request smaller, or have the ceiling of the intent raised in settings.spend.by_intent.
violation["SPEND-INTENT"] contains over(ceiling, sprintf("the ceiling of %s", [input.request.intent.type])) if {
	ceiling := data.caio.settings.spend.by_intent[input.request.intent.type]
	input.estimate.cost_micro_usd > ceiling
}

# METADATA
# title: Within the ceiling of the tenant
# description: The estimated cost of the call is at most the ceiling of the tenant, where there is one.
# custom:
#   severity: medium
#   controls: [FinOps Framework Policy and Governance, COBIT 2019 APO06]
#   remedy: Choose a cheaper service, make the request smaller, or have the ceiling of the tenant raised in settings.spend.by_tenant.
violation["SPEND-TENANT"] contains over(ceiling, sprintf("the ceiling of the tenant %s", [input.principal.tenant])) if {
	ceiling := data.caio.settings.spend.by_tenant[input.principal.tenant]
	input.estimate.cost_micro_usd > ceiling
}

# METADATA
# title: A budget where one is required
# description: A request with an intent that needs a budget names the most that it may cost.
# custom:
#   severity: low
#   controls: [FinOps Framework Policy and Governance]
#   remedy: Name limits.max_cost_usd in the request.
violation["SPEND-BUDGET"] contains msg if {
	input.request.intent.type in data.caio.settings.spend.budget_required
	not is_number(input.request.limits.max_cost_micro_usd)
	msg := sprintf("%s needs a budget, and the request names none", [input.request.intent.type])
}

# METADATA
# title: No dear call on a guessed size
# description: >-
#   A call whose price rests on a number of tokens that is a default, for want of anything better, costs at most what the settings allow for a guess. A price that doesn't depend on that number is no guess.
# custom:
#   severity: medium
#   controls: [FinOps Framework Planning and Estimating]
#   remedy: State estimate.input_tokens and estimate.output_tokens in the request, send the payload from which they can be measured, or choose a service whose price doesn't depend on them.
violation["SPEND-ESTIMATE"] contains over(ceiling, sprintf("what a guess of %s may cost", [concat(", ", guessed)])) if {
	count(guessed) > 0
	ceiling := data.caio.settings.spend.max_defaulted_micro_usd
	input.estimate.cost_micro_usd > ceiling
}

guessed contains "input_tokens" if {
	"input_tokens" in input.request.estimate.defaulted
	input.service.cost.per_million_input_tokens_micro_usd > 0
}

guessed contains "output_tokens" if {
	"output_tokens" in input.request.estimate.defaulted
	input.service.cost.per_million_output_tokens_micro_usd > 0
}

over(ceiling, what) := {
	"msg": sprintf("%s would cost %d micro-USD, %d more than %s", [input.service.id, input.estimate.cost_micro_usd, excess, what]),
	"value": excess,
} if {
	excess := input.estimate.cost_micro_usd - ceiling
}

# The maximum of nothing is undefined.
role_ceiling := max(ceilings)

role_ceiling := data.caio.settings.spend.default_micro_usd if count(ceilings) == 0

ceilings := [ceiling |
	some role in input.principal.roles
	ceiling := data.caio.settings.spend.by_role[role]
]
