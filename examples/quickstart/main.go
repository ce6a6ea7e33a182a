// Command quickstart runs FAPI 2.0 in one process: an authorization server, an
// API and a client, each a TLS server on 127.0.0.1. First it runs a complete
// flow, with a payment and the life of a grant. Then it attacks the servers.
//
// It does so for each combination of client authentication (assertion or
// certificate), token binding (DPoP or mutual TLS) and profile. Under Baseline
// only tokens and assertions are signed. Under Advanced, requests,
// authorization responses and introspection responses are signed as well.
//
// It prints each message with its sender, its receiver and the clause that it
// satisfies. The exit status is 0 only if every step succeeded and every attack
// was rejected with the status and the error code that the specifications
// require.
//
//	go run ./examples/quickstart [-profile baseline|advanced] [-auth private_key_jwt|tls_client_auth] [-binding dpop|mtls] [-json]
//
// The code in servers.go, payments.go and signing.go is meant to be copied. The
// other files test it: world.go starts the servers, flow.go and browser.go act
// as users and clients, attacks.go as attackers, and wire.go records the
// messages.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

const usage = "usage: quickstart [-profile baseline|advanced] [-auth private_key_jwt|tls_client_auth]" +
	" [-binding dpop|mtls] [-json]"

// run runs the program and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	asJSON := flags.Bool("json", false, "print one JSON object for each step and attack, and nothing else")
	profile := flags.String("profile", "", "what has to be signed: baseline or advanced (default both)")
	auth := flags.String("auth", "", "how the client authenticates: private_key_jwt or tls_client_auth (default both)")
	binding := flags.String("binding", "", "what its tokens are bound to: dpop or mtls (default both)")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil || flags.NArg() > 0:
		fmt.Fprintln(stderr, usage)
		return 2
	}
	chosen, err := combinations(*profile, *auth, *binding)
	if err != nil {
		fmt.Fprintf(stderr, "quickstart: %v\n%s\n", err, usage)
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var out printer = &dialogue{out: stdout}
	if *asJSON {
		out = &jsonLines{out: stdout}
	}
	switch ok, err := runAll(ctx, out, chosen, fullPlan); {
	case err != nil:
		fmt.Fprintln(stderr, "quickstart:", err)
		return 1
	case !ok:
		return 1
	}
	return 0
}

// A plan returns the steps and attacks of a combination.
type plan func(c combination) ([]section, []group)

func fullPlan(c combination) ([]section, []group) { return flowSections(c), attackGroups(c) }

// runAll runs all combinations, even if one fails, and reports whether all
// results are as expected.
func runAll(ctx context.Context, out printer, chosen []combination, s plan) (ok bool, err error) {
	out.header(len(chosen))
	outcomes, ok := make([]outcome, 0, len(chosen)), true
	for _, c := range chosen {
		sections, groups := s(c)
		a, err := runCombination(ctx, out, c, sections, groups)
		if err != nil {
			return false, err
		}
		outcomes, ok = append(outcomes, a), ok && a.ok()
	}
	out.footer(outcomes)
	return ok, nil
}

// An outcome contains the results of a combination, and the planned numbers of
// steps and attacks.
type outcome struct {
	combination
	steps, attacks int
	results        []result
}

// ok reports whether all results are as expected and none is missing.
func (o outcome) ok() bool {
	return o.count("step") == o.steps && o.count("attack") == o.attacks
}

// count returns the number of expected results of a kind.
func (o outcome) count(kind string) (n int) {
	for _, r := range o.results {
		if r.Kind == kind && r.OK {
			n++
		}
	}
	return n
}

// runCombination runs the steps and then the attacks of a combination in a new
// world. It stops after a failed step, because a rejected attack proves nothing
// then.
func runCombination(ctx context.Context, out printer, c combination, sections []section,
	groups []group) (outcome, error) {
	a := outcome{combination: c}
	for _, its := range sections {
		a.steps += len(its.steps)
	}
	for _, g := range groups {
		a.attacks += len(g.attacks)
	}
	w, err := newWorld(ctx, c)
	if err != nil {
		return a, err
	}
	defer w.close()
	report := func(r result) bool {
		r.Profile, r.Combination = c.profile, c.String()
		a.results = append(a.results, r)
		out.result(r)
		return r.OK
	}
	out.servers(w)
	f := &flow{world: w}
	for _, its := range sections {
		out.section(its.title)
		for _, s := range its.steps {
			if !report(s.run(ctx, f)) {
				return a, nil
			}
		}
	}
	for _, g := range groups {
		out.section(g.title)
		for _, attack := range g.attacks {
			report(attack.run(ctx, w))
		}
	}
	return a, nil
}
