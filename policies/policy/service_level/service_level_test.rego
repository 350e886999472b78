package caio.policy.service_level_test

import data.caio.policy.service_level
import data.caio.testing
import rego.v2

nobody := {"profiles": [], "intents": [], "purposes": [], "roles": [], "max_latency_ms": null, "promised_latency_ms": null, "min_availability": null}

settings := {"priorities": {
	"fast": object.union(nobody, {"profiles": ["realtime"], "max_latency_ms": 1000}),
	"voice": object.union(nobody, {"intents": ["voice.*"], "max_latency_ms": 300}),
	"promised": object.union(nobody, {"purposes": ["emergency"], "promised_latency_ms": 500}),
	"assured": object.union(nobody, {"roles": ["surgeon"], "min_availability": 0.99}),
	"vital": object.union(nobody, {"purposes": ["emergency"], "min_availability": 0.999}),
}}

given(request, roles, service) := testing.candidate({"request": request, "principal": {"roles": roles}, "service": object.union({"id": "s"}, service)})

taking(request, latency) := object.union(testing.given(request, {"id": "s"}), {"estimate": {"latency_ms": latency}})

found(id, candidate) := result if {
	result := service_level.violation[id] with input as candidate
		with data.caio.settings.service_level as settings
}

left(id, candidate) := result if {
	result := service_level.margin[id] with input as candidate
		with data.caio.settings.service_level as settings
}

realtime := {"profile": "realtime"}

call := {"intent": {"type": "voice.call"}}

emergency := {"purpose": "emergency"}

# SERVICE-LATENCY

test_latency_refuses_more_than_the_priority_allows if {
	found("SERVICE-LATENCY", taking(realtime, 1001)) == {{"msg": "s is expected to take 1001 ms, 1 more than the priority fast allows", "value": 1}}
	found("SERVICE-LATENCY", taking(call, 450)) == {{"msg": "s is expected to take 450 ms, 150 more than the priority voice allows", "value": 150}}
}

test_latency_refuses_by_every_priority if {
	{excess.value | some excess in found("SERVICE-LATENCY", taking(object.union(realtime, call), 1200))} == {200, 900}
}

test_latency_refuses_the_unknown if {
	found("SERVICE-LATENCY", given(realtime, [], {})) == {"how long s takes is unknown, and the priority fast allows 1000 ms"}
}

test_latency_allows_what_the_priority_allows if {
	found("SERVICE-LATENCY", taking(realtime, 1000)) == set()
	found("SERVICE-LATENCY", taking(call, 300)) == set()
}

test_latency_without_a_priority_is_free if {
	found("SERVICE-LATENCY", taking({}, 60000)) == set()
	found("SERVICE-LATENCY", given({}, [], {})) == set()
	found("SERVICE-LATENCY", given(emergency, ["surgeon"], {})) == set()
}

test_latency_says_what_is_left if {
	left("SERVICE-LATENCY", taking(realtime, 400)) == 600
	left("SERVICE-LATENCY", taking(object.union(realtime, call), 250)) == 50
	left("SERVICE-LATENCY", taking(realtime, 1000)) == 0
	not left("SERVICE-LATENCY", taking(realtime, 1001))
	not left("SERVICE-LATENCY", taking({}, 400))
}

# SERVICE-PROMISE

test_promise_refuses_more_than_the_priority_needs if {
	found("SERVICE-PROMISE", given(emergency, [], {"guarantees": {"latency": {"max": 620}}})) == {{"msg": "s promises 620 ms, and the priority promised needs 500", "value": 120}}
	found("SERVICE-PROMISE", given(emergency, [], {"guarantees": {"latency": {"max": 500.5}}})) == {{"msg": "s promises 500.5 ms, and the priority promised needs 500", "value": 1}}
}

test_promise_refuses_silence if {
	found("SERVICE-PROMISE", given(emergency, [], {})) == {"s promises no latency, and the priority promised needs 500 ms"}
}

test_promise_is_not_what_was_measured if {
	measured := object.union(taking(emergency, 20), {"service": object.union(taking(emergency, 20).service, {"guarantees": {}})})
	count(found("SERVICE-PROMISE", measured)) == 1
}

test_promise_allows_what_the_priority_needs if {
	found("SERVICE-PROMISE", given(emergency, [], {"guarantees": {"latency": {"max": 500}}})) == set()
}

test_promise_is_about_priorities_that_ask_for_it if {
	found("SERVICE-PROMISE", given(realtime, ["surgeon"], {})) == set()
	found("SERVICE-PROMISE", given(realtime, [], {"guarantees": {"latency": {"max": 9000}}})) == set()
}

# SERVICE-AVAILABILITY

available(ratio) := {"guarantees": {"availability": {"min": ratio}}}

test_availability_refuses_less_than_the_priority_needs if {
	found("SERVICE-AVAILABILITY", given({}, ["surgeon"], available(0.985))) == {{"msg": "s promises availability 0.985, and the priority assured needs 0.99", "value": 5000}}
	found("SERVICE-AVAILABILITY", given({}, ["surgeon"], available(0.989999))) == {{"msg": "s promises availability 0.989999, and the priority assured needs 0.99", "value": 1}}
}

test_availability_refuses_by_every_priority if {
	{shortfall.value | some shortfall in found("SERVICE-AVAILABILITY", given(emergency, ["surgeon"], available(0.98)))} == {10000, 19000}
}

test_availability_refuses_silence if {
	found("SERVICE-AVAILABILITY", given({}, ["surgeon"], {})) == {{"msg": "s promises no availability, and the priority assured needs 0.99", "value": 990000}}
}

test_availability_allows_what_the_priority_needs if {
	found("SERVICE-AVAILABILITY", given({}, ["nurse", "surgeon"], available(0.99))) == set()
	found("SERVICE-AVAILABILITY", given(emergency, [], available(1))) == set()
}

test_availability_without_a_priority_is_free if {
	found("SERVICE-AVAILABILITY", given({}, ["nurse"], available(0.5))) == set()
	found("SERVICE-AVAILABILITY", given(object.union(realtime, call), [], {})) == set()
}

test_availability_says_what_is_left if {
	left("SERVICE-AVAILABILITY", given({}, ["surgeon"], available(0.995))) == 5000
	left("SERVICE-AVAILABILITY", given(emergency, ["surgeon"], available(0.9995))) == 500
	left("SERVICE-AVAILABILITY", given({}, ["surgeon"], available(0.99))) == 0
	not left("SERVICE-AVAILABILITY", given({}, ["surgeon"], available(0.98)))
	not left("SERVICE-AVAILABILITY", given({}, [], available(0.995)))
}
