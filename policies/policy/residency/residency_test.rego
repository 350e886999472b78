package caio.policy.residency_test

import data.caio.policy.residency
import data.caio.testing
import rego.v2

settings := {
	"by_label": {"confidential": ["eu", "eu-*", "ch"], "secret": [], "pii": ["eu"]},
	"by_tenant": {"bank": ["ch"]},
	"by_origin": {"ca-qc": ["ca", "ca-*"]},
}

found(id, request, principal, regions) := result if {
	result := residency.violation[id] with input as testing.candidate({
		"request": request,
		"principal": principal,
		"service": {"id": "s", "privacy": {"regions": regions}},
	})
		with data.caio.settings.residency as settings
}

labelled(labels, regions) := found("RESIDENCY-LABEL", {"data": {"labels": labels}}, {}, regions)

of_tenant(tenant, regions) := found("RESIDENCY-TENANT", {}, {"tenant": tenant}, regions)

from(origins, regions) := found("RESIDENCY-ORIGIN", {"data": {"regions": origins}}, {}, regions)

# RESIDENCY-LABEL

test_label_refuses_a_region_outside if {
	labelled(["confidential"], ["eu-west", "us", "in"]) == {"s keeps data in us, in, confidential data stays in eu, eu-*, ch"}
}

test_label_refuses_silence if {
	labelled(["confidential"], []) == {"s does not say where it keeps data, confidential data stays in eu, eu-*, ch"}
}

test_label_refuses_by_every_label_that_has_a_list if {
	labelled(["confidential", "pii"], ["ch"]) == {"s keeps data in ch, pii data stays in eu"}
}

test_label_refuses_everything_when_the_list_is_empty if {
	labelled(["secret"], ["eu"]) == {"s keeps data in eu, secret data stays in no region"}
}

test_label_allows_what_every_list_allows if {
	labelled(["confidential"], ["eu", "eu-west", "ch"]) == set()
	labelled(["confidential", "pii"], ["eu"]) == set()
}

test_label_allows_what_has_no_list if {
	labelled(["internal"], ["us"]) == set()
	labelled(["internal"], []) == set()
	labelled([], []) == set()
}

# RESIDENCY-TENANT

test_tenant_refuses_a_region_outside if {
	of_tenant("bank", ["ch", "eu"]) == {"s keeps data in eu, data of bank stays in ch"}
}

test_tenant_refuses_silence if {
	of_tenant("bank", []) == {"s does not say where it keeps data, data of bank stays in ch"}
}

test_tenant_allows_its_regions if {
	of_tenant("bank", ["ch"]) == set()
}

test_tenant_allows_what_has_no_list if {
	of_tenant("acme", ["eu"]) == set()
	of_tenant("acme", []) == set()
}

# RESIDENCY-ORIGIN

test_origin_refuses_a_region_outside if {
	from(["ca-qc", "eu"], ["ca-east", "us"]) == {"s keeps data in us, data from ca-qc stays in ca, ca-*"}
}

test_origin_refuses_silence_of_the_service if {
	from(["ca-qc"], []) == {"s does not say where it keeps data, data from ca-qc stays in ca, ca-*"}
}

test_origin_allows_its_regions if {
	from(["ca-qc"], ["ca", "ca-east"]) == set()
}

test_origin_allows_what_has_no_list_or_is_not_said if {
	from(["eu"], ["us"]) == set()
	from([], ["us"]) == set()
}
