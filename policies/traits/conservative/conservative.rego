# How proven a service must be for a user who wants what is proven: the trait `conservative`, 0 to 1, reaches levels, and every level that it reaches must allow the service.
package caio.traits.conservative

import rego.v2

# METADATA
# title: As proven as the user wants, by those who looked
# description: The attestation that this installation has recorded of the contract is at least that of every level that the user's trait reaches.
# related_resources:
#   - ref: https://www.nist.gov/itl/ai-risk-management-framework
#     description: "NIST AI RMF 1.0, GOVERN 6.1: risks of third parties"
# custom:
#   severity: medium
#   controls: [NIST AI RMF GOVERN 6.1, ISO/IEC 42001:2023 A.10.3]
#   remedy: Choose a service that an approver has audited or verified, or let the user lower the trait conservative.
violation["CONSERVATIVE-ATTESTED"] contains msg if {
	some level in reached
	not rank[input.service.attestation] >= rank[level.min_attestation]
	msg := sprintf("%s is attested %s, conservative %v needs %s", [input.service.id, input.service.attestation, input.request.traits.conservative, level.min_attestation])
}

# METADATA
# title: As proven as the user wants, by certificate
# description: >-
#   Outside the localities that are the organisation's own, the service holds at least one of the certifications of every level that the user's trait reaches. A service that states none is refused.
# related_resources:
#   - ref: https://www.nist.gov/itl/ai-risk-management-framework
#     description: "NIST AI RMF 1.0, GOVERN 6.1: risks of third parties"
# custom:
#   severity: medium
#   controls: [NIST AI RMF GOVERN 6.1, ISO/IEC 42001:2023 A.10.3]
#   remedy: Choose a service with one of the certifications named, or let the user lower the trait conservative.
violation["CONSERVATIVE-CERTIFIED"] contains msg if {
	not input.service.privacy.locality in data.caio.settings.conservative.own_localities
	some level in reached
	count(level.certifications) > 0
	not holds_one(level.certifications)
	msg := sprintf("%s holds none of %s, one of which conservative %v needs", [input.service.id, concat(", ", level.certifications), input.request.traits.conservative])
}

# METADATA
# title: As proven as the user wants, by release
# description: >-
#   The service's version is at least that of every level that the user's trait reaches, and no tag of its says that it isn't finished or no longer kept. A pre-release comes before its release.
# related_resources:
#   - ref: https://semver.org/spec/v2.0.0.html
#     description: "Semantic Versioning 2.0.0, items 4, 9 and 11: initial development, pre-releases, precedence"
# custom:
#   severity: medium
#   controls: [NIST AI RMF MEASURE 2.5]
#   remedy: Choose a service that has been released, or let the user lower the trait conservative.
violation["CONSERVATIVE-MATURE"] contains msg if {
	some level in reached
	semver.compare(input.service.version, level.min_version) < 0
	msg := sprintf("%s has the version %s, conservative %v needs %s", [input.service.id, input.service.version, input.request.traits.conservative, level.min_version])
}

violation["CONSERVATIVE-MATURE"] contains msg if {
	count(reached) > 0
	some tag in input.service.tags
	lower(tag) in data.caio.settings.conservative.refused_tags
	msg := sprintf("%s is tagged %s, which conservative %v does not allow", [input.service.id, tag, input.request.traits.conservative])
}

reached := [level |
	some level in data.caio.settings.conservative.levels
	input.request.traits.conservative >= level.from
]

holds_one(accepted) if {
	some certification in input.service.privacy.certifications
	certification in accepted
}

rank := {"self": 0, "audited": 1, "verified": 2}
