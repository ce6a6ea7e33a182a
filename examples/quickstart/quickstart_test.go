package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"regexp"
	"slices"
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

func every(t *testing.T) []combination {
	all, err := combinations("", "", "")
	require.NoError(t, err)
	require.Len(t, all, 8)
	return all
}

// both prints JSON and text, so that one run serves both checks.
type both struct{ json, text printer }

func (p both) header(n int)         { p.json.header(n); p.text.header(n) }
func (p both) servers(w *world)     { p.json.servers(w); p.text.servers(w) }
func (p both) section(title string) { p.json.section(title); p.text.section(title) }
func (p both) result(r result)      { p.json.result(r); p.text.result(r) }
func (p both) footer(all []outcome) { p.json.footer(all); p.text.footer(all) }

func TestEveryStepSucceedsAndEveryAttackIsRefused(t *testing.T) {
	t.Parallel()
	var stdout, text bytes.Buffer
	ok, err := runAll(t.Context(), both{&jsonLines{out: &stdout}, &dialogue{out: &text}}, every(t), fullPlan)
	require.NoError(t, err)
	require.True(t, ok, "%s", &text)
	t.Run("the dialogue fits into its columns", func(t *testing.T) { checkDialogue(t, text.String()) })
	allSteps, allAttacks := results(t, &stdout)
	for _, c := range every(t) {
		t.Run(c.profile+" "+c.String(), func(t *testing.T) {
			its := func(r result) bool { return r.Profile == c.profile && r.Combination == c.String() }
			steps, attacks := slices.Collect(filter(allSteps, its)), slices.Collect(filter(allAttacks, its))
			require.Len(t, steps, stepsOf(flowSections(c)))
			require.GreaterOrEqual(t, len(attacks), either(c.advanced(), 225, 145))
			names := map[string]bool{}
			for _, r := range append(steps, attacks...) {
				require.True(t, r.OK, "%+v", r)
				require.Empty(t, r.Reason)
				require.False(t, names[r.Name], "two are called %q", r.Name)
				names[r.Name] = true
				require.Regexp(t, `^[A-Z]+-[A-Za-z0-9.-]+$`, r.Clause)
			}
			for _, r := range attacks {
				if r.Code == codeInactive { // not an error, but no information either
					require.True(t, c.advanced())
					require.Equal(t, http.StatusOK, r.Status)
				} else {
					require.GreaterOrEqual(t, r.Status, http.StatusBadRequest)
				}
				require.Less(t, r.Status, http.StatusInternalServerError)
				if r.Code == "" { // another client's grant is not found; without a token there is no code (RFC 6750 §3.1)
					require.Contains(t, []int{http.StatusUnauthorized, http.StatusNotFound}, r.Status)
					require.Regexp(t, "^GM-", r.Clause)
				}
				require.LessOrEqual(t, len(r.Name), 52, "%q moves its column", r.Name)
			}
		})
	}
}

func stepsOf(sections []section) (n int) {
	for _, its := range sections {
		n += len(its.steps)
	}
	return n
}

// beginning returns the first step of the flow, after which attacks can run.
func beginning(c combination) []section { return []section{{"", loginSteps(c)[:1]}} }

func filter(all []result, wanted func(result) bool) iter.Seq[result] {
	return func(yield func(result) bool) {
		for _, r := range all {
			if wanted(r) && !yield(r) {
				return
			}
		}
	}
}

func checkDialogue(t *testing.T, text string) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, line := range lines {
		require.LessOrEqual(t, utf8.RuneCountInString(line), width, line)
	}
	row := regexp.MustCompile(`^(Baseline|Advanced) +(\S+) +(DPoP|mutual TLS) +([0-9]+) of ([0-9]+) ✓ +([0-9]+) of ([0-9]+) ✓$`)
	for i, c := range every(t) {
		m := row.FindStringSubmatch(lines[len(lines)-8+i])
		require.NotNil(t, m, "the table ends it: %s", lines[len(lines)-8+i])
		require.Equal(t, []string{headings[c.profile], c.auth, labels[c.binding], m[5], m[7]}, []string{m[1], m[2], m[3], m[4], m[6]})
	}
	require.NotRegexp(t, regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10}`), text, "no token is shown")
}

func TestTheFlagsChooseCombinations(t *testing.T) {
	t.Parallel()
	for _, c := range every(t) {
		chosen, err := combinations(c.profile, c.auth, c.binding)
		require.NoError(t, err)
		require.Equal(t, []combination{c}, chosen)
	}
	for _, c := range []combination{{profiles[1], auths[1], ""}, {profiles[0], "", bindings[1]}, {"", auths[0], bindings[0]}} {
		chosen, err := combinations(c.profile, c.auth, c.binding)
		require.NoError(t, err)
		require.Len(t, chosen, 2)
	}
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"-profile", "advanced", "-auth", "tls_client_auth", "-binding", "mtls", "-json"}, &stdout, &stderr), "%s%s", &stdout, &stderr)
	steps, attacks := results(t, &stdout)
	for _, r := range append(steps, attacks...) {
		require.Equal(t, "advanced tls_client_auth+mtls", r.Profile+" "+r.Combination)
	}
	stdout.Reset()
	require.Zero(t, run(t.Context(), []string{"-profile", "baseline", "-auth", "private_key_jwt", "-binding", "dpop"}, &stdout, &stderr), "%s%s", &stdout, &stderr)
	require.Regexp(t, `\nBaseline +private_key_jwt +DPoP +.* ✓\n$`, stdout.String())
	require.Empty(t, stderr.String())
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"-nonsense"}, {"-json", "more"}, {"-auth", "client_secret_basic"}, {"-auth", "private_key_jwt", "-binding", "none"}, {"-binding", "DPoP"}, {"-profile", "message signing"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 2, run(t.Context(), args, &stdout, &stderr))
		require.Empty(t, stdout.String())
		require.Contains(t, stderr.String(), "usage")
	}
	require.Zero(t, run(t.Context(), []string{"-h"}, io.Discard, io.Discard))
}

// The program must detect failures in each combination.
func TestFailuresAreSeen(t *testing.T) {
	t.Parallel()
	stolen := one(func(c *call) { c.scheme, c.prover, c.certificate = "Bearer", nil, nil })
	harmless := one(func(*call) {})
	refused := func(context.Context, *world) (*call, error) { return nil, errors.New("no request can be made") }
	on := func(name string, status int, code string, spoil change[*call]) attack {
		return onAPI(name, "", status, code, spoil)
	}
	cases := []struct {
		attack attack
		ok     bool
		reason string
	}{
		{on("as it should be", 401, "invalid_token", stolen), true, ""},
		{on("another code", 401, "invalid_dpop_proof", stolen), false, "401 invalid_token, expected 401 invalid_dpop_proof"},
		{on("another status", 400, "invalid_token", stolen), false, "401 invalid_token, expected 400 invalid_token"},
		{on("a refusal that names nothing", 401, "invalid_token", stolen).saying("a reason"), false, "without a word of a reason"},
		{on("a code where there is to be none", 401, "", stolen), false, "401 invalid_token, expected 401 without an error code"},
		{on("an attack that succeeds", 401, "invalid_token", harmless), false, "200 without an error code"},
		{against(newCall, 201, "a request that is bad without the attack", "", 401, "invalid_token", stolen), false, "the unchanged request is rejected"},
		{against(refused, 200, "no request", "", 401, "invalid_token", stolen), false, "no request can be made"},
		{on("a spoiler that fails", 401, "invalid_token", func(context.Context, *call) error { return errors.New("not spoilt") }), false, "not spoilt"},
		{onCallback("a client that asks the token endpoint first", "", 303, "", one(func(v *visit) { v.quiet = true })), false, "after 1 requests"},
	}
	planOf := func(chosen ...attack) plan {
		return func(its combination) ([]section, []group) { return beginning(its), []group{{"", chosen}} }
	}
	var all []attack
	for _, c := range cases {
		all = append(all, c.attack)
	}
	var stdout bytes.Buffer
	ok, err := runAll(t.Context(), &jsonLines{out: &stdout}, every(t), planOf(all...))
	require.NoError(t, err)
	require.False(t, ok)
	_, attacks := results(t, &stdout)
	require.Len(t, attacks, 8*len(cases))
	for i, r := range attacks {
		c := cases[i%len(cases)]
		require.Equal(t, c.attack.name, r.Name)
		require.Equal(t, c.ok, r.OK, r.Name)
		require.Contains(t, r.Reason, c.reason)
	}
	for _, c := range cases {
		t.Run(c.attack.name, func(t *testing.T) {
			var stdout bytes.Buffer
			ok, err := runAll(t.Context(), &dialogue{out: &stdout}, every(t)[7:], planOf(c.attack))
			require.NoError(t, err)
			require.Equal(t, c.ok, ok)
			for mark, count := range map[string]int{"NOT REFUSED AS EXPECTED": 1, " 0 of 1 ✗": 1, "     FAILED: ": 1, " 1 of 1 ✓": 1} {
				if c.ok {
					count = map[string]int{" 1 of 1 ✓": 2}[mark]
				}
				require.Equal(t, count, strings.Count(stdout.String(), mark), "%q in %s", mark, &stdout)
			}
		})
	}
}

// The program must report one failed combination among others.
func TestOneFailureIsEnough(t *testing.T) {
	t.Parallel()
	all := every(t)
	for i, bad := range all {
		var stdout bytes.Buffer
		chosen := []combination{all[(i+7)%8], bad, all[(i+1)%8]} // it is neither the first nor the last
		ok, err := runAll(t.Context(), &dialogue{out: &stdout}, chosen, func(c combination) ([]section, []group) {
			sections := beginning(c)
			if c == bad {
				sections = append(sections, section{"", []step{{name: "a step that fails", do: func(context.Context, *flow) error { return errors.New("deliberately") }}}})
			}
			return sections, nil
		})
		require.NoError(t, err)
		require.False(t, ok)
		require.Regexp(t, headings[bad.profile]+` +`+bad.auth+` +`+labels[bad.binding]+` +1 of 2 ✗`, stdout.String())
		require.Equal(t, 1, strings.Count(stdout.String(), "✗"), stdout.String())
	}
}

func TestAFailedStepEndsTheRun(t *testing.T) {
	t.Parallel()
	failing := step{name: "a step that fails", clause: "", do: func(context.Context, *flow) error { return errors.New("deliberately") }}
	for _, c := range every(t) {
		var stdout bytes.Buffer
		a, err := runCombination(t.Context(), &jsonLines{out: &stdout}, c, append([]section{{"", []step{failing}}}, beginning(c)...), attackGroups(c))
		require.NoError(t, err)
		require.False(t, a.ok())
		steps, attacks := results(t, &stdout)
		require.Len(t, steps, 1)
		require.False(t, steps[0].OK)
		require.Equal(t, "deliberately", steps[0].Reason)
		require.Empty(t, attacks)
	}
}

// The check of the archives must fail for a changed message.
func TestArchivesProveNothingFalse(t *testing.T) {
	key, err := newKey()
	require.NoError(t, err)
	token, err := forge(object{"alg": "ES256"}, object{"scope": "accounts"}, es256(key))
	require.NoError(t, err)
	require.True(t, verifiesES256(token, &key.PublicKey))
	changed, err := reforge(token, keep(token), with(object{}, object{"scope": "payments"}))
	require.NoError(t, err)
	other, err := newKey()
	require.NoError(t, err)
	require.False(t, verifiesES256(changed, &key.PublicKey))
	require.False(t, verifiesES256(token, &other.PublicKey))
	require.False(t, verifiesES256("", &key.PublicKey))
}
