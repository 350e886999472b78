package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func testClient(t *testing.T, handler http.HandlerFunc) *options {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return &options{server: s.URL + "/", token: "t"}
}

// Every page of a list is asked for, by the cursor that the page before gave.
func TestServicesArePaged(t *testing.T) {
	pages := map[string]string{
		"":    `{"services": [{"id": "a"}, {"id": "b"}], "next": "b&1"}`,
		"b&1": `{"services": [{"id": "c"}], "next": "c"}`,
		"c":   `{"services": [{"id": "d"}]}`,
	}
	client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		if r.URL.Path != "/v1/services" || r.Header.Get("Authorization") != "Bearer t" || query.Has("cursor") && query.Get("cursor") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, pages[query.Get("cursor")])
	})
	services, err := client.services(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, s := range services {
		ids = append(ids, s.ID)
	}
	if !slices.Equal(ids, []string{"a", "b", "c", "d"}) {
		t.Error(ids)
	}
}

// What a server refuses is told with all its places; its code says whether the answer is no, or something around the question is missing.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		token  string
		code   int
		told   string
	}{
		{400, `{"title": "Wrong", "detail": "Each fault is listed.", "code": "invalid", "errors": [{"pointer": "/a", "detail": "is wrong", "line": 2, "column": 3}, {"parameter": "limit", "detail": "is wrong too"}]}`, "t", exitNo,
			"Each fault is listed. (invalid)\n  2:3 /a: is wrong\n  limit: is wrong too"},
		{404, `{"title": "Not found", "code": "not-found"}`, "t", exitNo, "Not found (not-found)"},
		{409, `{"title": "Conflict"}`, "t", exitNo, "Conflict"},
		{401, `{"title": "Who?", "code": "unauthenticated"}`, "", exitEnvironment, "there is no token: give one with --token"},
		{401, `{"title": "Who?", "code": "unauthenticated"}`, "t", exitEnvironment, "Who? (unauthenticated)"},
		{403, `{"title": "No", "code": "forbidden"}`, "t", exitEnvironment, "No (forbidden)"},
		{503, `{"title": "Later", "code": "unavailable"}`, "t", exitEnvironment, "Later (unavailable)"},
		{502, `<html>`, "t", exitEnvironment, "/v1/x: 502 Bad Gateway"},
		{404, `[]`, "t", exitNo, "/v1/x: 404 Not Found"},
	} {
		client := testClient(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		})
		client.token = c.token
		_, err := client.fetch(t.Context(), http.MethodGet, "/v1/x", "", nil)
		exit := (*exitError)(nil)
		if !errors.As(err, &exit) || exit.code != c.code || !strings.Contains(err.Error(), c.told) {
			t.Errorf("%d %s: %v", c.status, c.body, err)
		}
	}
}

// What a server refuses is told with what it is called, what is wrong with it, and where.
func TestProblemText(t *testing.T) {
	client := testClient(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"title": "The hold exists", "detail": "Release that one first, or choose another name.", "code": "hold-exists", "errors": [{"pointer": "/name", "detail": "is taken"}]}`)
	})
	_, err := client.fetch(t.Context(), http.MethodPost, "/v1/holds", "", nil)
	if want := "The hold exists. Release that one first, or choose another name. (hold-exists)\n  /name: is taken"; fmt.Sprint(err) != want {
		t.Errorf("%v", err)
	}
}

// cobra's own texts are said in the words of the other messages.
func TestInOurWords(t *testing.T) {
	for _, args := range [][]string{{"verify"}, {"log", "verify", "a", "b", "--trust", "x"}, {"log", "export", "--trust", "x"}, {"log", "export", "x"}, {"log"}} {
		var out, told strings.Builder
		if code := run(args, &out, &told); code != exitUsage || strings.Contains(told.String(), "(s)") {
			t.Errorf("%q: exit %d, %s", args, code, told.String())
		}
	}
}
