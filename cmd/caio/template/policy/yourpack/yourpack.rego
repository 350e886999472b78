# What we promise about our customers' data.
package caio.policy.yourpack

import rego.v2

# METADATA
# title: What stays in the house
# description: Data with one of the labels in kept_in_house goes to no service outside our own walls.
# custom:
#   severity: critical
#   controls: [Data handling standard 4.2]
#   remedy: Choose a service on the route internal or hybrid, or take what the label is about out of the request.
violation["YOURPACK-HOUSE"] contains msg if {
	some label in input.request.data.labels
	label in data.caio.settings.yourpack.kept_in_house
	input.service.placement == "external"
	msg := sprintf("%s is outside the house, and %s data stays in it", [input.service.id, label])
}

# METADATA
# title: Nobody keeps our data for longer than agreed
# description: |
#   A service keeps data for no longer than retention_days says for its label. The violation's value is the number of days above it.
#
#   A service that does not say for how long it keeps what it is sent is refused: silence is no promise.
# custom:
#   severity: high
#   controls: [Data handling standard 5.1, GDPR Art. 5(1)(e)]
#   remedy: Choose a service that deletes earlier, agree on it with the vendor and state it in the contract as privacy.retention_days, or take what the label is about out of the request.
violation["YOURPACK-RETENTION"] contains {"msg": msg, "value": input.service.privacy.retention_days - most} if {
	some label, most in agreed
	input.service.privacy.retention_days > most
	msg := sprintf("%s keeps what it is sent for %d days, and %s data may be kept for %d", [input.service.id, input.service.privacy.retention_days, label, most])
}

violation["YOURPACK-RETENTION"] contains msg if {
	some label, _ in agreed
	not input.service.privacy.retention_days >= 0
	msg := sprintf("%s does not say for how long it keeps what it is sent, and that is limited for %s data", [input.service.id, label])
}

# The days for the labels of this request, of those that have a limit.
agreed[label] := days if {
	some label in input.request.data.labels
	days := data.caio.settings.yourpack.retention_days[label]
}
