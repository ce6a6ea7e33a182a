package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func results(t *testing.T, out io.Reader) (steps, attacks []result) {
	for d := json.NewDecoder(out); ; {
		var r result
		err := d.Decode(&r)
		if errors.Is(err, io.EOF) {
			return steps, attacks
		}
		require.NoError(t, err, "nothing but JSON is printed")
		switch r.Kind {
		case "step":
			steps = append(steps, r)
		case "attack":
			attacks = append(attacks, r)
		default:
			require.Fail(t, "neither a step nor an attack", "%+v", r)
		}
	}
}

func TestEveryStepSucceedsAndEveryAttackIsRefused(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"-json"}, &stdout, &stderr), "%s%s", &stdout, &stderr)
	require.Empty(t, stderr.String())
	steps, attacks := results(t, &stdout)
	require.Len(t, steps, len(flowSteps()))
	require.GreaterOrEqual(t, len(attacks), 15)
	names := map[string]bool{}
	for _, r := range append(steps, attacks...) {
		require.True(t, r.OK, "%+v", r)
		require.Empty(t, r.Reason)
		require.False(t, names[r.Name], "two are called %q", r.Name)
		names[r.Name] = true
		require.Regexp(t, `^[A-Z]+-[A-Za-z0-9.-]+$`, r.Clause)
	}
	for _, r := range attacks {
		require.GreaterOrEqual(t, r.Status, http.StatusBadRequest)
		require.Less(t, r.Status, http.StatusInternalServerError)
		require.NotEmpty(t, r.Code)
	}
}

func TestTheDialogueFitsIntoItsColumns(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(t.Context(), nil, &stdout, &stderr), "%s%s", &stdout, &stderr)
	require.Empty(t, stderr.String())
	lines := strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
	for _, line := range lines {
		require.LessOrEqual(t, utf8.RuneCountInString(line), width, line)
	}
	require.Regexp(t, regexp.MustCompile(`^[0-9]+ steps succeeded, [0-9]+ attacks refused$`), lines[len(lines)-1])
	require.NotRegexp(t, regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10}`), stdout.String(), "no token is shown")
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"-json", "more"}} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 2, run(t.Context(), args, &stdout, &stderr))
		require.Empty(t, stdout.String())
		require.Contains(t, stderr.String(), "usage")
	}
	require.Zero(t, run(t.Context(), []string{"-h"}, io.Discard, io.Discard))
}

// Whoever says that all is well has to be able to say that it is not.
func TestFailuresAreSeen(t *testing.T) {
	bearer := one(func(c *call) { c.scheme = "Bearer" })
	harmless := one(func(*call) {})
	refused := func(context.Context, *world) (*call, error) { return nil, errors.New("no request can be made") }
	for _, c := range []struct {
		name   string
		attack attack
		ok     bool
		reason string
	}{
		{"as it should be", onAPI("", "", 401, "invalid_token", bearer), true, ""},
		{"another code", onAPI("", "", 401, "invalid_dpop_proof", bearer), false, "401 invalid_token, expected 401 invalid_dpop_proof"},
		{"another status", onAPI("", "", 400, "invalid_token", bearer), false, "401 invalid_token, expected 400 invalid_token"},
		{"an attack that succeeds", onAPI("", "", 401, "invalid_token", harmless), false, "200 without an error code"},
		{"a request that is bad without the attack", against(newCall, 201, "", "", 401, "invalid_token", bearer), false, "unspoilt"},
		{"no request", against(refused, 200, "", "", 401, "invalid_token", bearer), false, "no request can be made"},
		{"a spoiler that fails", onAPI("", "", 401, "invalid_token", func(context.Context, *call) error { return errors.New("not spoilt") }), false, "not spoilt"},
		{"a client that asks the token endpoint first", onCallback("", "", 303, "", one(func(v *visit) { v.quiet = true })), false, "after 1 requests"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, out := range []func(io.Writer) printer{
				func(w io.Writer) printer { return &jsonLines{out: w} },
				func(w io.Writer) printer { return &dialogue{out: w} },
			} {
				var stdout bytes.Buffer
				p := out(&stdout)
				ok, err := play(t.Context(), p, flowSteps()[:1], []group{{"", []attack{c.attack}}})
				require.NoError(t, err)
				require.Equal(t, c.ok, ok)
				if _, isJSON := p.(*jsonLines); !isJSON {
					require.Equal(t, !c.ok, strings.Contains(stdout.String(), "1 attacks NOT REFUSED AS EXPECTED"), stdout.String())
					continue
				}
				_, attacks := results(t, &stdout)
				require.Len(t, attacks, 1)
				require.Equal(t, c.ok, attacks[0].OK)
				require.Contains(t, attacks[0].Reason, c.reason)
			}
		})
	}
}

func TestAFailedStepEndsThePlay(t *testing.T) {
	failing := step{name: "a step that fails", clause: "", do: func(context.Context, *flow) error { return errors.New("deliberately") }}
	var stdout bytes.Buffer
	ok, err := play(t.Context(), &jsonLines{out: &stdout}, []step{failing, flowSteps()[0]}, attackGroups())
	require.NoError(t, err)
	require.False(t, ok)
	steps, attacks := results(t, &stdout)
	require.Len(t, steps, 1)
	require.False(t, steps[0].OK)
	require.Equal(t, "deliberately", steps[0].Reason)
	require.Empty(t, attacks)
}
