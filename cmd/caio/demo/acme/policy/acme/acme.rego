package caio.policy.acme

import rego.v2

# METADATA
# title: What stays in the house
# description: Data with one of these labels goes to no service outside our own walls.
# custom:
#   severity: high
#   controls: [ACME Data Handling Standard 4.2]
#   remedy: Choose a service on the route internal or hybrid.
violation["ACME-HOUSE"] contains msg if {
	some label in input.request.data.labels
	label in kept_in_house
	input.service.placement == "external"
	msg := sprintf("%s is outside the house, and %s data stays in it", [input.service.id, label])
}

kept_in_house contains "secret"
