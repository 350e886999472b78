# What a request of a priority needs of a service's latency and availability. G is the excess: milliseconds, and millionths of availability.
# A request has every priority whose profile, intent, purpose or role it has, and each of them holds.
package caio.policy.service_level

import rego.v2

# METADATA
# title: As fast as the priority needs
# description: >-
#   The expected latency of the call is known, and at most what each priority of the request allows. It is what the decision itself expects: measured where there are enough calls, the contract's word until then.
# related_resources:
#   - ref: https://www.iso.org/standard/70636.html
#     description: "ISO/IEC 20000-1:2018, 8.3.3: service level management"
# custom:
#   severity: medium
#   controls: [ISO/IEC 20000-1:2018 8.3.3, COBIT 2019 APO09]
#   remedy: Choose a faster service, have the contract of this one state its latency, or have the priority changed in settings.service_level.priorities.
violation["SERVICE-LATENCY"] contains {"msg": msg, "value": excess} if {
	some name, ceiling in expected_ceilings
	excess := input.estimate.latency_ms - ceiling
	excess > 0
	msg := sprintf("%s is expected to take %d ms, %d more than the priority %s allows", [input.service.id, input.estimate.latency_ms, excess, name])
}

violation["SERVICE-LATENCY"] contains msg if {
	not is_number(input.estimate.latency_ms)
	some name, ceiling in expected_ceilings
	msg := sprintf("how long %s takes is unknown, and the priority %s allows %d ms", [input.service.id, name, ceiling])
}

margin["SERVICE-LATENCY"] := left if {
	left := min([room | some ceiling in expected_ceilings; room := ceiling - input.estimate.latency_ms])
	left >= 0
}

# METADATA
# title: A promise of latency where one is needed
# description: >-
#   Where a priority asks for a promise, the contract itself states a latency, the 95th percentile, at most what the priority allows. Calls that were fast so far are no promise. A contract that states none is refused.
# related_resources:
#   - ref: https://www.iso.org/standard/70636.html
#     description: "ISO/IEC 20000-1:2018, 8.3.3: service level management"
# custom:
#   severity: medium
#   controls: [ISO/IEC 20000-1:2018 8.3.3, COBIT 2019 APO09]
#   remedy: Choose a service whose contract states guarantees.latency.max within the priority's, or agree on it with the owner of this one.
violation["SERVICE-PROMISE"] contains {"msg": msg, "value": excess} if {
	some name, ceiling in promised_ceilings
	excess := ceil(input.service.guarantees.latency.max - ceiling)
	excess > 0
	msg := sprintf("%s promises %v ms, and the priority %s needs %d", [input.service.id, input.service.guarantees.latency.max, name, ceiling])
}

violation["SERVICE-PROMISE"] contains msg if {
	not is_number(input.service.guarantees.latency.max)
	some name, ceiling in promised_ceilings
	msg := sprintf("%s promises no latency, and the priority %s needs %d ms", [input.service.id, name, ceiling])
}

# METADATA
# title: As available as the priority needs
# description: >-
#   The contract states an availability, at least what each priority of the request needs. One that is not stated counts as 0, as it does in the objective.
# related_resources:
#   - ref: https://www.iso.org/standard/70636.html
#     description: "ISO/IEC 20000-1:2018, 8.7.1: service availability management"
# custom:
#   severity: medium
#   controls: [ISO/IEC 20000-1:2018 8.7.1, COBIT 2019 BAI04]
#   remedy: Choose a service whose contract states guarantees.availability.min at the priority's, or have the priority changed in settings.service_level.priorities.
violation["SERVICE-AVAILABILITY"] contains {"msg": msg, "value": shortfall} if {
	some name, floor in availability_floors
	shortfall := millionths(floor) - millionths(input.service.guarantees.availability.min)
	shortfall > 0
	msg := sprintf("%s promises availability %v, and the priority %s needs %v", [input.service.id, input.service.guarantees.availability.min, name, floor])
}

violation["SERVICE-AVAILABILITY"] contains {"msg": msg, "value": millionths(floor)} if {
	not is_number(input.service.guarantees.availability.min)
	some name, floor in availability_floors
	msg := sprintf("%s promises no availability, and the priority %s needs %v", [input.service.id, name, floor])
}

margin["SERVICE-AVAILABILITY"] := left if {
	left := min([room | some floor in availability_floors; room := millionths(input.service.guarantees.availability.min) - millionths(floor)])
	left >= 0
}

# A priority asks for nothing where its number is null.
expected_ceilings[name] := priority.max_latency_ms if {
	some name, priority in priorities
	is_number(priority.max_latency_ms)
}

promised_ceilings[name] := priority.promised_latency_ms if {
	some name, priority in priorities
	is_number(priority.promised_latency_ms)
}

availability_floors[name] := priority.min_availability if {
	some name, priority in priorities
	is_number(priority.min_availability)
}

priorities[name] := priority if {
	some name, priority in data.caio.settings.service_level.priorities
	has(priority)
}

has(priority) if input.request.profile in priority.profiles

has(priority) if input.request.purpose in priority.purposes

has(priority) if {
	some role in input.principal.roles
	role in priority.roles
}

has(priority) if {
	some pattern in priority.intents
	glob.match(pattern, null, input.request.intent.type)
}

millionths(ratio) := round(ratio * 1000000)
