# What the HIPAA Privacy and Security Rules (45 CFR Part 164) ask before a service gets protected health information, as far as a contract, a caller and the settings can show it.
# What each rule takes from the law and what it adds is in README.md.
package caio.policy.hipaa

import rego.v2

# METADATA
# title: A business associate agreement is on record
# description: >-
#   A request with protected health information goes only to a service whose operator has a business associate agreement on record, or to one at a locality that is the organisation's own.
# related_resources:
#   - ref: https://www.ecfr.gov/current/title-45/section-164.502
#     description: "45 CFR 164.502(e): disclosures to business associates"
#   - ref: https://www.ecfr.gov/current/title-45/section-164.504
#     description: "45 CFR 164.504(e): business associate contracts"
#   - ref: https://www.ecfr.gov/current/title-45/section-164.308
#     description: "45 CFR 164.308(b): business associate contracts and other arrangements, for electronic information"
#   - ref: https://www.hhs.gov/hipaa/for-professionals/special-topics/health-information-technology/cloud-computing/index.html
#     description: "HHS: guidance on HIPAA and cloud computing"
# custom:
#   severity: critical
#   controls: [45 CFR 164.502(e), 45 CFR 164.504(e), 45 CFR 164.308(b)]
#   remedy: >-
#     Choose a service with an agreement, have the agreement with this one entered in settings.hipaa.agreements once it is signed, or remove the health information from the request.
violation["HIPAA-502-E"] contains msg if {
	has_phi
	not input.service.privacy.locality in data.caio.settings.hipaa.own_localities
	not data.caio.settings.hipaa.agreements[input.service.id]
	msg := sprintf("no business associate agreement is on record for %s", [input.service.id])
}

# METADATA
# title: Health information is encrypted on the way
# description: >-
#   A request with protected health information goes only to a service that encrypts in transit, unless it does not leave the device, or an equivalent alternative measure is on record for the service.
#   A service that does not say counts as one that does not encrypt.
# related_resources:
#   - ref: https://www.ecfr.gov/current/title-45/section-164.312
#     description: "45 CFR 164.312(e)(1): transmission security; (e)(2)(ii): encryption (addressable)"
#   - ref: https://www.ecfr.gov/current/title-45/section-164.306
#     description: "45 CFR 164.306(d)(3): what addressable means"
# custom:
#   severity: critical
#   controls: [45 CFR 164.312(e)(1), 45 CFR 164.312(e)(2)(ii)]
#   remedy: >-
#     Choose a service that encrypts in transit, or have the documented alternative measure of this one entered in settings.hipaa.alternatives.in_transit.
violation["HIPAA-312-E"] contains msg if {
	has_phi
	not input.service.privacy.encryption.in_transit
	not input.service.privacy.locality in data.caio.settings.hipaa.without_transmission
	not data.caio.settings.hipaa.alternatives.in_transit[input.service.id]
	msg := sprintf("%s does not state that it encrypts in transit", [input.service.id])
}

# METADATA
# title: Health information is encrypted where it is kept
# description: >-
#   A request with protected health information goes only to a service that encrypts at rest, unless it states that it keeps nothing, or an equivalent alternative measure is on record for the service.
#   A service that does not say counts as one that does not encrypt.
# related_resources:
#   - ref: https://www.ecfr.gov/current/title-45/section-164.312
#     description: "45 CFR 164.312(a)(2)(iv): encryption and decryption (addressable)"
#   - ref: https://www.ecfr.gov/current/title-45/section-164.306
#     description: "45 CFR 164.306(d)(3): what addressable means"
# custom:
#   severity: high
#   controls: [45 CFR 164.312(a)(1), 45 CFR 164.312(a)(2)(iv)]
#   remedy: >-
#     Choose a service that encrypts at rest or keeps nothing, or have the documented alternative measure of this one entered in settings.hipaa.alternatives.at_rest.
violation["HIPAA-312-A"] contains msg if {
	has_phi
	not input.service.privacy.encryption.at_rest
	not keeps_nothing
	not data.caio.settings.hipaa.alternatives.at_rest[input.service.id]
	msg := sprintf("%s states neither that it encrypts at rest nor that it keeps nothing", [input.service.id])
}

# METADATA
# title: No more health information than is needed
# description: >-
#   An intent that works without protected health information gets none. Where the settings ask for it, the caller has a role that needs such information.
# related_resources:
#   - ref: https://www.ecfr.gov/current/title-45/section-164.502
#     description: "45 CFR 164.502(b): minimum necessary"
#   - ref: https://www.ecfr.gov/current/title-45/section-164.514
#     description: "45 CFR 164.514(d)(2): minimum necessary uses, by persons and classes of persons; (d)(3): minimum necessary disclosures"
# custom:
#   severity: high
#   controls: [45 CFR 164.502(b), 45 CFR 164.514(d)]
#   remedy: Remove the health information from the request, or have settings.hipaa say that this intent, or this role, needs it.
violation["HIPAA-502-B"] contains msg if {
	has_phi
	input.request.intent.type in data.caio.settings.hipaa.intents_without_phi
	msg := sprintf("%s does not need health information", [input.request.intent.type])
}

violation["HIPAA-502-B"] contains "none of the caller's roles needs health information" if {
	has_phi
	data.caio.settings.hipaa.require_role
	not needs_phi
}

has_phi if {
	some label in input.request.data.labels
	label in data.caio.settings.hipaa.labels
}

keeps_nothing if {
	data.caio.settings.hipaa.kept_nowhere_exempt
	input.service.privacy.retention_days == 0
}

needs_phi if {
	some role in input.principal.roles
	role in data.caio.settings.hipaa.roles
}
