// Command quickstart plays FAPI 2.0 in one process: an authorization server, an API and a client, each a TLS server of
// its own on 127.0.0.1, first in a whole flow, with a payment that the user agrees to and a grant that lives and ends, then
// under attack. It does so for both ways in which the client can authenticate here, by assertion and by certificate, with
// both to which its tokens can be bound, DPoP and mutual TLS, and for both profiles: Baseline, and Advanced, under which
// requests, authorization responses and introspection responses are signed. It prints who says what to whom and which clause
// of the specifications that answers, and ends with status 0 only if every step succeeded and every attack was refused with
// exactly the status and error code that the specifications ask for.
//
//	go run ./examples/quickstart [-profile baseline|advanced] [-auth private_key_jwt|tls_client_auth] [-binding dpop|mtls] [-json]
//
// The code to copy from is in servers.go, payments.go and signing.go. The rest is the stage: world.go sets it up, flow.go and
// browser.go play the users and the clients, attacks.go the thieves, and wire.go listens to what is said.
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

const usage = "usage: quickstart [-profile baseline|advanced] [-auth private_key_jwt|tls_client_auth] [-binding dpop|mtls] [-json]"

// run is the program. It returns the exit status.
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
	switch ok, err := perform(ctx, out, chosen, fullScript); {
	case err != nil:
		fmt.Fprintln(stderr, "quickstart:", err)
		return 1
	case !ok:
		return 1
	}
	return 0
}

// A script says what is to be played for a combination.
type script func(c combination) ([]chapter, []group)

func fullScript(c combination) ([]chapter, []group) { return flowChapters(c), attackGroups(c) }

// perform plays all combinations, whatever comes of one, and reports whether all went as it should.
func perform(ctx context.Context, out printer, chosen []combination, s script) (ok bool, err error) {
	out.opening(len(chosen))
	acts, ok := make([]act, 0, len(chosen)), true
	for _, c := range chosen {
		chapters, groups := s(c)
		a, err := play(ctx, out, c, chapters, groups)
		if err != nil {
			return false, err
		}
		acts, ok = append(acts, a), ok && a.ok()
	}
	out.closing(acts)
	return ok, nil
}

// An act is how the steps and attacks of a combination went, and how many there were to be.
type act struct {
	combination
	steps, attacks int
	results        []result
}

// ok reports whether all went as it should, and nothing is missing.
func (a act) ok() bool {
	return a.count("step") == a.steps && a.count("attack") == a.attacks
}

// count returns how many results of a kind are as they should be.
func (a act) count(kind string) (n int) {
	for _, r := range a.results {
		if r.Kind == kind && r.OK {
			n++
		}
	}
	return n
}

// play runs the steps and then the attacks of a combination in a new world. After a step that failed it stops: what is
// refused then proves nothing.
func play(ctx context.Context, out printer, c combination, chapters []chapter, groups []group) (act, error) {
	a := act{combination: c}
	for _, its := range chapters {
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
	out.scene(w)
	f := &flow{world: w}
	for _, its := range chapters {
		out.chapter(its.title)
		for _, s := range its.steps {
			if !report(s.play(ctx, f)) {
				return a, nil
			}
		}
	}
	for _, g := range groups {
		out.chapter(g.title)
		for _, attack := range g.attacks {
			report(attack.play(ctx, w))
		}
	}
	return a, nil
}
