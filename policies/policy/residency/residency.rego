# Where data may be kept, by what it is, whose it is and where it comes from. Lists of regions narrow each other down: a service is allowed where every list that applies allows it.
package caio.policy.residency

import rego.v2

# METADATA
# title: Data of this kind stays in its regions
# description: Every region of the service matches the list of each label of the request that has one. A service that does not say where it keeps data is refused.
# related_resources:
#   - ref: https://www.iso.org/standard/27001
#     description: "ISO/IEC 27001:2022, Annex A 5.31: legal, statutory, regulatory and contractual requirements"
#   - ref: https://cloudsecurityalliance.org/research/cloud-controls-matrix
#     description: "CSA Cloud Controls Matrix v4, DSP-19: data location"
# custom:
#   severity: critical
#   controls: [ISO/IEC 27001:2022 A.5.31, CSA CCM v4 DSP-19]
#   remedy: Choose a service all of whose regions are in the label's list, or have the list changed in settings.residency.by_label by someone who knows why it is there.
violation["RESIDENCY-LABEL"] contains msg if {
	some label in input.request.data.labels
	allowed := data.caio.settings.residency.by_label[label]
	some fault in faults(allowed)
	msg := sprintf("%s, %s data stays in %s", [fault, label, listed(allowed)])
}

# METADATA
# title: Data of this tenant stays in its regions
# description: Every region of the service matches the list of the caller's tenant, if there is one. A service that does not say where it keeps data is refused.
# related_resources:
#   - ref: https://www.iso.org/standard/27001
#     description: "ISO/IEC 27001:2022, Annex A 5.31: legal, statutory, regulatory and contractual requirements"
#   - ref: https://cloudsecurityalliance.org/research/cloud-controls-matrix
#     description: "CSA Cloud Controls Matrix v4, DSP-19: data location"
# custom:
#   severity: critical
#   controls: [ISO/IEC 27001:2022 A.5.31, CSA CCM v4 DSP-19]
#   remedy: Choose a service all of whose regions are in the tenant's list, or have the list changed in settings.residency.by_tenant by someone who knows what the tenant was promised.
violation["RESIDENCY-TENANT"] contains msg if {
	allowed := data.caio.settings.residency.by_tenant[input.principal.tenant]
	some fault in faults(allowed)
	msg := sprintf("%s, data of %s stays in %s", [fault, input.principal.tenant, listed(allowed)])
}

# METADATA
# title: Data from this region goes only where it may
# description: Every region of the service matches the list of each region that the request says its data comes from, where there is one. A service that does not say where it keeps data is refused.
# related_resources:
#   - ref: https://www.iso.org/standard/27001
#     description: "ISO/IEC 27001:2022, Annex A 5.31: legal, statutory, regulatory and contractual requirements"
#   - ref: https://cloudsecurityalliance.org/research/cloud-controls-matrix
#     description: "CSA Cloud Controls Matrix v4, DSP-19: data location"
# custom:
#   severity: critical
#   controls: [ISO/IEC 27001:2022 A.5.31, CSA CCM v4 DSP-19]
#   remedy: Choose a service all of whose regions are in the list of the region that the data comes from, or have the list changed in settings.residency.by_origin.
violation["RESIDENCY-ORIGIN"] contains msg if {
	some origin in input.request.data.regions
	allowed := data.caio.settings.residency.by_origin[origin]
	some fault in faults(allowed)
	msg := sprintf("%s, data from %s stays in %s", [fault, origin, listed(allowed)])
}

# What is wrong with the service's regions, if these are the allowed ones.
faults(allowed) := {sprintf("%s keeps data in %s", [input.service.id, concat(", ", outside)]) |
	outside := [region | some region in input.service.privacy.regions; not matches(region, allowed)]
	count(outside) > 0
} | {sprintf("%s does not say where it keeps data", [input.service.id]) |
	not count(input.service.privacy.regions) > 0
}

matches(region, allowed) if {
	some pattern in allowed
	glob.match(pattern, null, region)
}

listed(allowed) := concat(", ", allowed) if count(allowed) > 0

listed([]) := "no region"
