# What a user who tolerates little risk is not exposed to: failure, delay, cost and guesses. The trait `risk_tolerance`, 0 to 1, reaches every level that it is not above, and each of them must allow the call.
# G is the excess: millionths of availability, milliseconds, micro-USD.
package caio.traits.risk_tolerance

import rego.v2

# METADATA
# title: No likelier to fail than the user tolerates
# description: >-
#   The availability that the contract states, as far as the calculus believes it, is at least that of every level that the user's trait reaches. It is believed up to 0.9 when nobody has looked at the contract, up to 0.97 when it is audited. One that is not stated counts as 0.
# related_resources:
#   - ref: https://www.nist.gov/itl/ai-risk-management-framework
#     description: "NIST AI RMF 1.0, MAP 1.5: risk tolerances"
# custom:
#   severity: medium
#   controls: [NIST AI RMF MAP 1.5, ISO 31000:2018 6.3.4]
#   remedy: Choose a service that is more available or better attested, or let the user raise the trait risk_tolerance.
violation["RISK-FAILURE"] contains {"msg": msg, "value": shortfall} if {
	some level in reached
	shortfall := millionths(level.min_availability) - millionths(believed)
	shortfall > 0
	msg := sprintf("%s, attested %s, counts as available %v of the time, risk_tolerance %v needs %v", [input.service.id, input.service.attestation, believed, input.request.traits.risk_tolerance, level.min_availability])
}

# METADATA
# title: No slower than the user tolerates
# description: The expected latency of the call is known, and at most that of every level that the user's trait reaches.
# related_resources:
#   - ref: https://www.nist.gov/itl/ai-risk-management-framework
#     description: "NIST AI RMF 1.0, MAP 1.5: risk tolerances"
# custom:
#   severity: low
#   controls: [NIST AI RMF MAP 1.5, ISO 31000:2018 6.3.4]
#   remedy: Choose a faster service, have the contract of this one state its latency, or let the user raise the trait risk_tolerance.
violation["RISK-DELAY"] contains {"msg": msg, "value": excess} if {
	some level in reached
	excess := input.estimate.latency_ms - level.max_latency_ms
	excess > 0
	msg := sprintf("%s is expected to take %d ms, risk_tolerance %v allows %d", [input.service.id, input.estimate.latency_ms, input.request.traits.risk_tolerance, level.max_latency_ms])
}

violation["RISK-DELAY"] contains msg if {
	not is_number(input.estimate.latency_ms)
	some level in reached
	msg := sprintf("how long %s takes is unknown, risk_tolerance %v allows %d ms", [input.service.id, input.request.traits.risk_tolerance, level.max_latency_ms])
}

# METADATA
# title: No dearer than the user tolerates
# description: The estimated cost of the call is at most that of every level that the user's trait reaches.
# related_resources:
#   - ref: https://www.nist.gov/itl/ai-risk-management-framework
#     description: "NIST AI RMF 1.0, MAP 1.5: risk tolerances"
# custom:
#   severity: low
#   controls: [NIST AI RMF MAP 1.5, ISO 31000:2018 6.3.4]
#   remedy: Choose a cheaper service, make the request smaller, or let the user raise the trait risk_tolerance.
violation["RISK-COST"] contains {"msg": msg, "value": excess} if {
	some level in reached
	excess := input.estimate.cost_micro_usd - level.max_cost_micro_usd
	excess > 0
	msg := sprintf("%s would cost %d micro-USD, risk_tolerance %v allows %d", [input.service.id, input.estimate.cost_micro_usd, input.request.traits.risk_tolerance, level.max_cost_micro_usd])
}

# METADATA
# title: No price that is a guess
# description: >-
#   Where a level that the user's trait reaches accepts no guesses, the service's price does not rest on a number of tokens that is a default for want of anything better. A price that doesn't depend on that number is no guess.
# related_resources:
#   - ref: https://www.nist.gov/itl/ai-risk-management-framework
#     description: "NIST AI RMF 1.0, MAP 1.5: risk tolerances"
# custom:
#   severity: low
#   controls: [NIST AI RMF MAP 1.5, ISO 31000:2018 6.3.4]
#   remedy: State estimate.input_tokens and estimate.output_tokens in the request, send the payload from which they can be measured, or choose a service whose price doesn't depend on them.
violation["RISK-GUESS"] contains msg if {
	some level in reached
	not level.accepts_guesses
	some size in guessed
	msg := sprintf("the price of %s rests on a guess of %s, risk_tolerance %v accepts none", [input.service.id, size, input.request.traits.risk_tolerance])
}

reached := [level |
	some level in data.caio.settings.risk_tolerance.levels
	input.request.traits.risk_tolerance <= level.up_to
]

# So far the calculus believes a stated availability (spec/calculus.md, section 4, Risk). With another measure this pack would keep out what the objective takes for the safer service.
believed := min([input.service.guarantees.availability.min, believed_up_to[input.service.attestation]])

believed := 0 if not is_number(input.service.guarantees.availability.min)

believed_up_to := {"self": 0.9, "audited": 0.97, "verified": 1}

guessed contains "input_tokens" if {
	"input_tokens" in input.request.estimate.defaulted
	input.service.cost.per_million_input_tokens_micro_usd > 0
}

guessed contains "output_tokens" if {
	"output_tokens" in input.request.estimate.defaulted
	input.service.cost.per_million_output_tokens_micro_usd > 0
}

millionths(ratio) := round(ratio * 1000000)
