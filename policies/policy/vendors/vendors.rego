# Which services the organisation has approved, and what it wants to see of a vendor before data of a kind goes there.
package caio.policy.vendors

import rego.v2

# METADATA
# title: Only approved services
# description: The service's id matches a pattern of the list of approved services and none of the list of blocked ones. An empty list of approved services approves none.
# related_resources:
#   - ref: https://www.iso.org/standard/27001
#     description: "ISO/IEC 27001:2022, Annex A 5.19: information security in supplier relationships"
#   - ref: https://www.iso.org/standard/27001
#     description: "ISO/IEC 27001:2022, Annex A 5.23: information security for use of cloud services"
# custom:
#   severity: high
#   controls: [ISO/IEC 27001:2022 A.5.19, ISO/IEC 27001:2022 A.5.23]
#   remedy: Choose an approved service, or have this one entered in settings.vendors.approved.
violation["VENDOR-APPROVED"] contains msg if {
	not matches(data.caio.settings.vendors.approved)
	msg := sprintf("%s is not among the approved services", [input.service.id])
}

violation["VENDOR-APPROVED"] contains msg if {
	matches(data.caio.settings.vendors.blocked)
	msg := sprintf("%s is blocked", [input.service.id])
}

# METADATA
# title: Someone has looked at the contract
# description: The attestation that this installation has recorded of the contract is at least the least one required, of every request and of the labels of this one.
# related_resources:
#   - ref: https://www.iso.org/standard/27001
#     description: "ISO/IEC 27001:2022, Annex A 5.22: monitoring, review and change management of supplier services"
# custom:
#   severity: high
#   controls: [ISO/IEC 27001:2022 A.5.22]
#   remedy: Have an approver audit or verify the contract and record the attestation, or choose a service that has one.
violation["VENDOR-ATTESTATION"] contains msg if {
	required := data.caio.settings.vendors.min_attestation
	not rank[input.service.attestation] >= rank[required]
	msg := sprintf("%s is attested %s, every request needs %s", [input.service.id, input.service.attestation, required])
}

violation["VENDOR-ATTESTATION"] contains msg if {
	some label in input.request.data.labels
	required := data.caio.settings.vendors.min_attestation_by_label[label]
	not rank[input.service.attestation] >= rank[required]
	msg := sprintf("%s is attested %s, %s data needs %s", [input.service.id, input.service.attestation, label, required])
}

# METADATA
# title: The vendor is certified for data of this kind
# description: >-
#   Outside the localities that are the organisation's own, the service holds at least one of the certifications that the label asks for. A service that states none is refused.
# related_resources:
#   - ref: https://www.iso.org/standard/27001
#     description: "ISO/IEC 27001:2022, Annex A 5.20: addressing information security within supplier agreements"
#   - ref: https://www.aicpa-cima.com/topic/audit-assurance/audit-and-assurance-greater-than-soc-2
#     description: "AICPA: SOC 2"
# custom:
#   severity: high
#   controls: [ISO/IEC 27001:2022 A.5.20, SOC 2 CC9.2]
#   remedy: Choose a service with one of the certifications named, or have the vendor's evidence entered in its contract.
violation["VENDOR-CERTIFIED"] contains msg if {
	not input.service.privacy.locality in data.caio.settings.vendors.own_localities
	some label in input.request.data.labels
	accepted := data.caio.settings.vendors.certifications_by_label[label]
	not holds_one(accepted)
	msg := sprintf("%s holds none of %s, one of which %s data needs", [input.service.id, concat(", ", accepted), label])
}

matches(patterns) if {
	some pattern in patterns
	glob.match(pattern, null, input.service.id)
}

holds_one(accepted) if {
	some certification in input.service.privacy.certifications
	certification in accepted
}

rank := {"self": 0, "audited": 1, "verified": 2}
