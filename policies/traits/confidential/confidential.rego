# Where work may happen for a user who wants confidentiality: the trait `confidential`, 0 to 1, reaches levels, and every level that it reaches must allow the service.
package caio.traits.confidential

import rego.v2

# METADATA
# title: As confidential as the user wants, by place
# description: The service's locality is among those of every level that the user's trait reaches.
# custom:
#   severity: high
#   controls: [ISO/IEC 27701:2019 7.4.2, GDPR Art. 25(1)]
#   remedy: Choose a service closer to the user, or let the user lower the trait confidential.
violation["CONFIDENTIAL-LOCALITY"] contains msg if {
	some level in reached
	not input.service.privacy.locality in level.localities
	msg := sprintf("%s works at locality %s, confidential %v allows %s", [input.service.id, input.service.privacy.locality, input.request.traits.confidential, concat(", ", level.localities)])
}

# METADATA
# title: As confidential as the user wants, by route
# description: The route is among those of every level that the user's trait reaches.
# custom:
#   severity: high
#   controls: [ISO/IEC 27701:2019 7.4.2, GDPR Art. 25(1)]
#   remedy: Choose a service on another route, or let the user lower the trait confidential.
violation["CONFIDENTIAL-ROUTE"] contains msg if {
	some level in reached
	not input.route in level.routes
	msg := sprintf("the route %s is not allowed, confidential %v allows %s", [input.route, input.request.traits.confidential, concat(", ", level.routes)])
}

reached := [level |
	some level in data.caio.settings.confidential.levels
	input.request.traits.confidential >= level.from
]
