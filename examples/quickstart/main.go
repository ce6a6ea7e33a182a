// Command quickstart plays FAPI 2.0 in one process: an authorization server, an API and a client, each a TLS server of
// its own on 127.0.0.1, first in a whole flow, then under attack. It prints who says what to whom and which clause of the
// specifications that answers, and ends with status 0 only if every step succeeded and every attack was refused with
// exactly the status and error code that the specifications ask for.
//
//	go run ./examples/quickstart [-json]
//
// The code to copy from is in servers.go. The rest is the stage: world.go sets it up, flow.go plays the users and the
// clients, attacks.go the thieves, and wire.go listens to what is said.
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

// run is the program. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	asJSON := flags.Bool("json", false, "print one JSON object for each step and attack, and nothing else")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil || flags.NArg() > 0:
		fmt.Fprintln(stderr, "usage: quickstart [-json]")
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var out printer = &dialogue{out: stdout}
	if *asJSON {
		out = &jsonLines{out: stdout}
	}
	ok, err := play(ctx, out, flowSteps(), attackGroups())
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "quickstart:", err)
		return 1
	case !ok:
		return 1
	}
	return 0
}

// play runs the steps and then the attacks in a new world, and reports whether all went as it should. After a step that
// failed it stops: what is refused then proves nothing.
func play(ctx context.Context, out printer, steps []step, groups []group) (ok bool, err error) {
	w, err := newWorld(ctx)
	if err != nil {
		return false, err
	}
	defer w.close()
	out.opening(w)
	var all []result
	report := func(r result) {
		all = append(all, r)
		out.result(r)
	}

	out.chapter("The flow")
	f := &flow{world: w}
	for _, s := range steps {
		r := s.play(ctx, f)
		report(r)
		if !r.OK {
			out.closing(all)
			return false, nil
		}
	}
	for _, g := range groups {
		out.chapter(g.title)
		for _, a := range g.attacks {
			report(a.play(ctx, w))
		}
	}
	out.closing(all)
	for _, r := range all {
		if !r.OK {
			return false, nil
		}
	}
	return true, nil
}
