package caio.policy.yourpack_test

import data.caio.policy.yourpack
import data.caio.testing
import rego.v2

# The settings are pinned, so that the tests keep passing when somebody adapts them.
settings := {"kept_in_house": ["confidential"], "retention_days": {"pii": 30, "secret": 90}}

house(labels, placement) := found if {
	found := yourpack.violation["YOURPACK-HOUSE"] with data.caio.settings.yourpack as settings
		with input as testing.given({"data": {"labels": labels}}, {"id": "s", "placement": placement})
}

retention(labels, privacy) := found if {
	found := yourpack.violation["YOURPACK-RETENTION"] with data.caio.settings.yourpack as settings
		with input as testing.given({"data": {"labels": labels}}, {"id": "s", "privacy": privacy})
}

test_house_refuses_a_service_outside if {
	house(["confidential"], "external") == {"s is outside the house, and confidential data stays in it"}
}

test_house_allows_it_inside if {
	house(["confidential"], "internal") == set()
	house(["confidential"], "hybrid") == set()
}

test_house_allows_other_data_outside if house(["pii"], "external") == set()

test_house_reads_the_settings if {
	outside := testing.given({"data": {"labels": ["pii"]}}, {"placement": "external"})
	found := yourpack.violation["YOURPACK-HOUSE"] with input as outside with data.caio.settings.yourpack.kept_in_house as ["pii"]
	count(found) == 1
}

test_retention_refuses_a_day_too_many if {
	retention(["pii"], {"retention_days": 31}) == {{"msg": "s keeps what it is sent for 31 days, and pii data may be kept for 30", "value": 1}}
}

test_retention_allows_what_is_agreed if retention(["pii"], {"retention_days": 30}) == set()

test_retention_refuses_silence if {
	retention(["pii"], {}) == {"s does not say for how long it keeps what it is sent, and that is limited for pii data"}
}

test_retention_holds_for_each_label if {
	found := retention(["pii", "secret"], {"retention_days": 100})
	{finding.value | some finding in found} == {10, 70}
}

test_retention_is_about_labels_with_a_limit if {
	retention(["internal"], {"retention_days": 3650}) == set()
	retention([], {}) == set()
}
