# What may not leave the device, or the premises: by the type of the intent, and by the labels of the data.
package caio.policy.on_device

import rego.v2

# METADATA
# title: What belongs on the device stays there
# description: A request whose intent or label belongs on the device goes only to a service whose locality is on_device.
# related_resources:
#   - ref: https://www.iso.org/standard/27001
#     description: "ISO/IEC 27001:2022, Annex A 8.12: data leakage prevention"
#   - ref: https://csrc.nist.gov/pubs/sp/800/53/r5/upd1/final
#     description: "NIST SP 800-53 Rev. 5, AC-4: information flow enforcement"
# custom:
#   severity: critical
#   controls: [ISO/IEC 27001:2022 A.8.12, NIST SP 800-53 Rev. 5 AC-4]
#   remedy: Choose a service that works on the device itself, or have settings.on_device say that this intent or label may leave it.
violation["STAY-DEVICE"] contains msg if {
	some what in device_only
	not input.service.privacy.locality == "on_device"
	msg := sprintf("%s stays on the device, and %s works at locality %s", [what, input.service.id, input.service.privacy.locality])
}

# METADATA
# title: What belongs on the premises stays there
# description: >-
#   A request whose intent or label belongs on the premises goes only to a service whose locality is among those that are the premises, on the route internal: a service on the route hybrid may send on what it gets.
# related_resources:
#   - ref: https://www.iso.org/standard/27001
#     description: "ISO/IEC 27001:2022, Annex A 8.12: data leakage prevention"
#   - ref: https://csrc.nist.gov/pubs/sp/800/53/r5/upd1/final
#     description: "NIST SP 800-53 Rev. 5, AC-4: information flow enforcement"
# custom:
#   severity: critical
#   controls: [ISO/IEC 27001:2022 A.8.12, NIST SP 800-53 Rev. 5 AC-4]
#   remedy: Choose a service on the premises with the route internal, or have settings.on_device say that this intent or label may leave them.
violation["STAY-PREMISES"] contains msg if {
	some what in premises_only
	not is_on_premises
	msg := sprintf("%s stays on the premises, and %s works at locality %s, on the route %s", [what, input.service.id, input.service.privacy.locality, input.route])
}

# METADATA
# title: Someone has looked whether it stays
# description: >-
#   For a request that stays on the device or on the premises, the contract's attestation is at least the one required. Where a service works is otherwise the word of its owner alone.
# related_resources:
#   - ref: https://www.iso.org/standard/27001
#     description: "ISO/IEC 27001:2022, Annex A 5.22: monitoring, review and change management of supplier services"
# custom:
#   severity: high
#   controls: [ISO/IEC 27001:2022 A.5.22]
#   remedy: Have an approver audit or verify the contract and record the attestation, or choose a service that has one.
violation["STAY-ATTESTED"] contains msg if {
	some what in (device_only | premises_only)
	required := data.caio.settings.on_device.min_attestation
	not rank[input.service.attestation] >= rank[required]
	msg := sprintf("%s is attested %s, and a service for %s needs %s", [input.service.id, input.service.attestation, what, required])
}

is_on_premises if {
	input.service.privacy.locality in data.caio.settings.on_device.premises_localities
	input.route == "internal"
}

device_only contains input.request.intent.type if matches(data.caio.settings.on_device.device_intents)

device_only contains sprintf("%s data", [label]) if {
	some label in input.request.data.labels
	label in data.caio.settings.on_device.device_labels
}

premises_only contains input.request.intent.type if matches(data.caio.settings.on_device.premises_intents)

premises_only contains sprintf("%s data", [label]) if {
	some label in input.request.data.labels
	label in data.caio.settings.on_device.premises_labels
}

matches(patterns) if {
	some pattern in patterns
	glob.match(pattern, null, input.request.intent.type)
}

rank := {"self": 0, "audited": 1, "verified": 2}
