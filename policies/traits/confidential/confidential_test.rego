package caio.traits.confidential_test

import data.caio.testing
import data.caio.traits.confidential
import rego.v2

settings := {"levels": [
	{"from": 0.5, "localities": ["on_device", "local", "private"], "routes": ["internal", "hybrid"]},
	{"from": 0.8, "localities": ["on_device"], "routes": ["internal"]},
]}

found(id, trait, locality, route) := result if {
	result := confidential.violation[id] with input as testing.candidate({
		"request": {"traits": {"confidential": trait}},
		"service": {"id": "s", "placement": route, "privacy": {"locality": locality}},
		"route": route,
	})
		with data.caio.settings.confidential as settings
}

# CONFIDENTIAL-LOCALITY

test_locality_refuses_what_a_reached_level_does_not_allow if {
	found("CONFIDENTIAL-LOCALITY", 0.5, "cloud", "hybrid") == {"s works at locality cloud, confidential 0.5 allows on_device, local, private"}
}

test_locality_refuses_by_every_level_reached if {
	found("CONFIDENTIAL-LOCALITY", 0.8, "cloud", "external") == {
		"s works at locality cloud, confidential 0.8 allows on_device, local, private",
		"s works at locality cloud, confidential 0.8 allows on_device",
	}
	found("CONFIDENTIAL-LOCALITY", 1, "local", "internal") == {"s works at locality local, confidential 1 allows on_device"}
}

test_locality_allows_what_every_level_reached_allows if {
	found("CONFIDENTIAL-LOCALITY", 0.79, "private", "internal") == set()
	found("CONFIDENTIAL-LOCALITY", 1, "on_device", "internal") == set()
}

test_locality_allows_all_below_the_first_level if {
	found("CONFIDENTIAL-LOCALITY", 0.49, "cloud", "external") == set()
	found("CONFIDENTIAL-LOCALITY", 0, "cloud", "external") == set()
}

# CONFIDENTIAL-ROUTE

test_route_refuses_what_a_reached_level_does_not_allow if {
	found("CONFIDENTIAL-ROUTE", 0.5, "cloud", "external") == {"the route external is not allowed, confidential 0.5 allows internal, hybrid"}
	found("CONFIDENTIAL-ROUTE", 0.8, "private", "hybrid") == {"the route hybrid is not allowed, confidential 0.8 allows internal"}
}

test_route_allows_what_every_level_reached_allows if {
	found("CONFIDENTIAL-ROUTE", 0.5, "private", "hybrid") == set()
	found("CONFIDENTIAL-ROUTE", 1, "on_device", "internal") == set()
}

test_route_allows_all_below_the_first_level if {
	found("CONFIDENTIAL-ROUTE", 0.49, "cloud", "external") == set()
}
