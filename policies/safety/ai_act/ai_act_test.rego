package caio.safety.ai_act_test

import data.caio.safety.ai_act
import data.caio.testing
import rego.v2

settings := {
	"prohibited": {
		"a": {"from": "2025-02-02", "patterns": ["subliminal*"]},
		"c": {"from": "2025-02-02", "patterns": ["social?scoring", "citizens.rank"]},
		"f": {"from": "2025-02-02", "patterns": ["emotion.work*"], "exceptions": {"driver-safety": "Art. 5(1)(f), safety reasons, reviewed 2026-03-01"}},
		"ba": {"from": "2026-12-02", "patterns": ["nudification*"]},
	},
	"high_risk": {
		"annex_iii": {"from": "2027-12-02", "uses": {"Annex III(3)": ["grading"], "Annex III(4)": ["hiring*"]}},
		"annex_i": {"from": "2028-08-02", "uses": {"Annex I, medical devices": ["diagnosis"]}},
	},
	"not_high_risk": {"hiring.calendar": "Art. 6(3)(a), assessment of 2027-10-01"},
	"oversight_permission": "oversight.assigned",
	"oversight_roles": ["overseer"],
	"purpose_required": ["chat", "vision.*"],
}

use(intent, purpose) := {"intent": {"type": intent}, "purpose": purpose}

found(id, request, time) := found_for({}, id, request, time)

found_for(principal, id, request, time) := result if {
	result := ai_act.violation[id] with input as testing.candidate({"request": request, "principal": principal, "time": time})
		with data.caio.settings.ai_act as settings
}

warned(id, request, time) := warned_for({}, id, request, time)

warned_for(principal, id, request, time) := result if {
	result := ai_act.warn[id] with input as testing.candidate({"request": request, "principal": principal, "time": time})
		with data.caio.settings.ai_act as settings
}

now := "2026-11-22T12:00:00.000Z"

the_day_before(day) := concat("", [day, "T23:59:59.999Z"])

the_day(day) := concat("", [day, "T00:00:00.000Z"])

# AI-ACT-5

test_5_refuses_a_prohibited_purpose if {
	found("AI-ACT-5", use("chat", "social_scoring"), now) == {"social_scoring is registered as a practice that Art. 5(1)(c) prohibits"}
	found("AI-ACT-5", use("chat", "subliminal.ads"), now) == {"subliminal.ads is registered as a practice that Art. 5(1)(a) prohibits"}
}

test_5_refuses_a_prohibited_intent if {
	found("AI-ACT-5", use("citizens.rank", ""), now) == {"citizens.rank is registered as a practice that Art. 5(1)(c) prohibits"}
	found("AI-ACT-5", use("citizens.rank", "research"), now) == {"citizens.rank is registered as a practice that Art. 5(1)(c) prohibits"}
}

test_5_refuses_without_regard_to_oversight if {
	count(found_for({"permissions": ["oversight.assigned"], "roles": ["overseer"]}, "AI-ACT-5", use("citizens.rank", ""), now)) == 1
}

test_5_refuses_from_the_day_on if {
	found("AI-ACT-5", use("image", "nudification"), the_day("2026-12-02")) == {"nudification is registered as a practice that Art. 5(1)(ba) prohibits"}
	warned("AI-ACT-5", use("image", "nudification"), the_day("2026-12-02")) == set()
	found("AI-ACT-5", use("chat", "social_scoring"), the_day("2025-02-02")) != set()
}

test_5_warns_before_the_day if {
	warned("AI-ACT-5", use("image", "nudification"), the_day_before("2026-12-01")) == {"nudification is registered as a practice that Art. 5(1)(ba) prohibits from 2026-12-02"}
	found("AI-ACT-5", use("image", "nudification"), the_day_before("2026-12-01")) == set()
}

test_5_allows_an_exception_on_record_for_the_purpose if {
	found("AI-ACT-5", use("emotion.work", "driver-safety"), now) == set()
	found("AI-ACT-5", use("emotion.work", "coaching"), now) == {"emotion.work is registered as a practice that Art. 5(1)(f) prohibits"}
	found("AI-ACT-5", use("emotion.work", ""), now) == {"emotion.work is registered as a practice that Art. 5(1)(f) prohibits"}
}

test_5_takes_an_exception_for_its_own_point_only if {
	found("AI-ACT-5", use("citizens.rank", "driver-safety"), now) == {"citizens.rank is registered as a practice that Art. 5(1)(c) prohibits"}
}

test_5_takes_no_purpose_for_no_name if {
	everything := object.union(settings, {"prohibited": {"e": {"from": "2025-02-02", "patterns": ["*"]}}})
	refused := ai_act.violation["AI-ACT-5"] with input as testing.candidate({"request": use("chat", "")})
		with data.caio.settings.ai_act as everything
	refused == {"chat is registered as a practice that Art. 5(1)(e) prohibits"}
}

test_5_allows_the_rest if {
	found("AI-ACT-5", use("chat", "support"), now) == set()
	found("AI-ACT-5", use("chat", ""), now) == set()
	found("AI-ACT-5", use("chat", "anti-social_scoring"), now) == set()
	warned("AI-ACT-5", use("chat", "support"), now) == set()
}

# AI-ACT-14

later := "2027-12-24T12:00:00.000Z"

test_14_refuses_a_high_risk_purpose_that_nobody_oversees if {
	found("AI-ACT-14", use("chat", "hiring.screening"), later) == {"hiring.screening is registered as high-risk, Annex III(4), and the token says of nobody that they oversee it"}
}

test_14_refuses_a_high_risk_intent_that_nobody_oversees if {
	found("AI-ACT-14", use("grading", ""), later) == {"grading is registered as high-risk, Annex III(3), and the token says of nobody that they oversee it"}
	count(found_for({"permissions": ["ai.chat"], "roles": ["teacher"]}, "AI-ACT-14", use("grading", "exams"), later)) == 1
}

test_14_refuses_from_the_day_on if {
	count(found("AI-ACT-14", use("grading", ""), the_day("2027-12-02"))) == 1
	warned("AI-ACT-14", use("grading", ""), the_day("2027-12-02")) == set()
	count(found("AI-ACT-14", use("diagnosis", ""), the_day("2028-08-02"))) == 1
}

test_14_warns_before_the_day if {
	found("AI-ACT-14", use("grading", ""), the_day_before("2027-12-01")) == set()
	warned("AI-ACT-14", use("grading", ""), the_day_before("2027-12-01")) == {"grading is registered as high-risk, Annex III(3), and needs someone to oversee it from 2027-12-02"}
	found("AI-ACT-14", use("diagnosis", ""), the_day_before("2028-08-01")) == set()
	warned("AI-ACT-14", use("diagnosis", ""), later) == {"diagnosis is registered as high-risk, Annex I, medical devices, and needs someone to oversee it from 2028-08-02"}
}

test_14_allows_what_is_overseen_by_permission if {
	overseer := {"permissions": ["ai.chat", "oversight.assigned"]}
	found_for(overseer, "AI-ACT-14", use("grading", ""), later) == set()
	warned_for(overseer, "AI-ACT-14", use("grading", ""), now) == set()
}

test_14_allows_what_is_overseen_by_role if {
	found_for({"roles": ["teacher", "overseer"]}, "AI-ACT-14", use("grading", ""), later) == set()
}

test_14_allows_what_is_recorded_as_not_high_risk if {
	found("AI-ACT-14", use("chat", "hiring.calendar"), later) == set()
	warned("AI-ACT-14", use("chat", "hiring.calendar"), now) == set()
}

test_14_allows_the_rest if {
	found("AI-ACT-14", use("chat", "support"), later) == set()
	found("AI-ACT-14", use("chat", ""), later) == set()
	warned("AI-ACT-14", use("chat", ""), now) == set()
}

# AI-ACT-PURPOSE

test_purpose_refuses_silence if {
	found("AI-ACT-PURPOSE", use("vision.faces", ""), now) == {"the request does not say for what purpose it wants vision.faces"}
}

test_purpose_allows_a_stated_purpose if {
	found("AI-ACT-PURPOSE", use("vision.faces", "unlocking"), now) == set()
}

test_purpose_is_about_the_intents_named if {
	found("AI-ACT-PURPOSE", use("embeddings", ""), now) == set()
}
