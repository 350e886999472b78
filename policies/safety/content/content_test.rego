package caio.safety.content_test

import data.caio.safety.content
import data.caio.testing
import rego.v2

settings := {
	"secrets": {"types": ["secret", "secret.*", "*.aws"], "routes": ["hybrid", "external"], "max": 0},
	"card_numbers": {"types": ["card_number"], "routes": ["external"], "max": 2},
	"injection": {"types": ["prompt_injection"], "routes": ["internal", "external"], "max": 1},
	"examined": {"types": ["secret", "card_number"], "routes": ["external"]},
}

found(id, route, findings) := result if {
	result := content.violation[id] with input as testing.candidate({"request": {"data": {"findings": findings}}, "route": route})
		with data.caio.settings.content as settings
}

# CONTENT-SECRET

test_secret_refuses_where_it_would_leave if {
	found("CONTENT-SECRET", "external", [{"type": "secret", "count": 1}]) == {{"msg": "1 secrets found, at most 0 may go on the route external", "value": 1}}
	found("CONTENT-SECRET", "hybrid", [{"type": "secret", "count": 3}]) == {{"msg": "3 secrets found, at most 0 may go on the route hybrid", "value": 3}}
}

test_secret_counts_every_type_once if {
	findings := [{"type": "secret", "count": 1}, {"type": "secret.aws", "count": 2}, {"type": "card_number", "count": 4}]
	{excess.value | some excess in found("CONTENT-SECRET", "external", findings)} == {3}
}

test_secret_allows_it_in_the_house if {
	found("CONTENT-SECRET", "internal", [{"type": "secret", "count": 1}]) == set()
}

test_secret_allows_other_findings if {
	found("CONTENT-SECRET", "external", [{"type": "card_number", "count": 1}]) == set()
	found("CONTENT-SECRET", "external", [{"type": "secretary", "count": 1}]) == set()
}

test_secret_allows_what_was_looked_for_and_not_found if {
	found("CONTENT-SECRET", "external", [{"type": "secret", "count": 0}]) == set()
	found("CONTENT-SECRET", "external", []) == set()
}

# CONTENT-CARD

test_card_refuses_more_than_the_threshold if {
	found("CONTENT-CARD", "external", [{"type": "card_number", "count": 3}]) == {{"msg": "3 card numbers found, at most 2 may go on the route external", "value": 1}}
}

test_card_allows_up_to_the_threshold if {
	found("CONTENT-CARD", "external", [{"type": "card_number", "count": 2}]) == set()
	found("CONTENT-CARD", "external", []) == set()
}

test_card_allows_other_routes if {
	found("CONTENT-CARD", "hybrid", [{"type": "card_number", "count": 3}]) == set()
	found("CONTENT-CARD", "internal", [{"type": "card_number", "count": 3}]) == set()
}

# CONTENT-INJECTION

test_injection_refuses_in_the_house_too if {
	found("CONTENT-INJECTION", "internal", [{"type": "prompt_injection", "count": 2}]) == {{"msg": "2 markers of prompt injection found, at most 1 may go on the route internal", "value": 1}}
}

test_injection_allows_up_to_the_threshold if {
	found("CONTENT-INJECTION", "external", [{"type": "prompt_injection", "count": 1}]) == set()
	found("CONTENT-INJECTION", "internal", []) == set()
}

test_injection_allows_other_routes if {
	found("CONTENT-INJECTION", "hybrid", [{"type": "prompt_injection", "count": 2}]) == set()
}

# CONTENT-EXAMINED

test_examined_refuses_silence if {
	found("CONTENT-EXAMINED", "external", []) == {
		"no detector has reported on secret, and nothing goes on the route external unexamined",
		"no detector has reported on card_number, and nothing goes on the route external unexamined",
	}
	found("CONTENT-EXAMINED", "external", [{"type": "secret", "count": 0}]) == {"no detector has reported on card_number, and nothing goes on the route external unexamined"}
}

test_examined_allows_what_was_reported if {
	found("CONTENT-EXAMINED", "external", [{"type": "secret", "count": 0}, {"type": "card_number", "count": 1}]) == set()
}

test_examined_allows_other_routes if {
	found("CONTENT-EXAMINED", "internal", []) == set()
}

test_examined_asks_nothing_when_no_type_is_listed if {
	unexamined := content.violation["CONTENT-EXAMINED"] with input as testing.candidate({"route": "external"})
		with data.caio.settings.content as object.union(settings, {"examined": {"types": []}})
	unexamined == set()
}
