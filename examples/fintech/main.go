// Command fintech is a small web application, a client of a bank under FAPI
// 2.0. Its users log in at the bank. It shows their accounts, makes payments,
// and shows the permissions that they have granted.
//
//	go run ./examples/fintech [-config FILE | -state DIRECTORY] [-once]
//
// FILE is a JSON object with client metadata under their registered names; -h
// lists all of them with type, default and meaning. Without -config, fintech
// uses the configuration that go run ./examples/bank stores. The bank stores it
// in a directory of the user's cache, or in that of -state. The two commands,
// in this order and in two terminals, are a demonstration. The pages are at the
// host and port of redirect_uri.
//
// The member banks of the configuration lists several banks, which share the
// redirect URI:
//
//	{
//	    "redirect_uri": "https://app.example/callback",
//	    "client_id": "app", "jwks": {…}, "scope": "openid accounts",
//	    "banks": [
//	        {"name": "First", "issuer": "https://first.example", "resource_url": "https://first.example/accounts"},
//	        {"name": "Second", "issuer": "https://second.example", "resource_url": "https://second.example/accounts"}
//	    ]
//	}
//
// fintech starts as soon as one bank responds. It discovers the other banks
// when they respond. A bank that is down affects only its own accounts and
// payments.
//
// With -once it serves no pages. It performs one authorization as a browser
// without a user, at a server that requires no interaction. Then it reads
// resource_url with the token and prints one line of JSON.
//
// Users with their tokens and payments, and the keys, are in a store: a SQLite
// file next to the configuration, or the member store. A restart therefore
// loses nothing, and several instances with one client can share a store.
// Package client encrypts each token, with its DPoP key. The keys of tokens and
// of unfinished logins rotate every 90 days.
//
// GET /healthz reports that the process serves requests, and GET /readyz that
// its store responds. If the environment has OTEL_EXPORTER_OTLP_ENDPOINT,
// fintech sends spans and metrics to this collector of OpenTelemetry. With
// metrics_listen, it serves the metrics for Prometheus.
//
// The exit status is 0 after success, 1 after a rejection or a failure, and 2
// if the flags or the configuration are invalid.
//
// The code in app.go is meant to be copied. The other files contain the pages,
// the configuration, and the browser of -once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/gofapi/fapi2/examples/internal/configfile"
	"github.com/gofapi/fapi2/examples/internal/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	exit := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(exit)
}

const usage = "usage: fintech [-config FILE | -state DIRECTORY] [-once]"

// run is the program. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (exit int) {
	flags := flag.NewFlagSet("fintech", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", "",
		"the `file` with the configuration (default: what the bank's demonstration has left)")
	unattended := flags.Bool("once", false, "perform one authorization without a person and print what came of it")
	state := flags.String("state", "",
		"the `directory` that the bank's demonstration uses (default: in the user's cache directory)")
	flags.Usage = func() {
		fmt.Fprintln(stderr, usage)
		flags.PrintDefaults()
		fmt.Fprintln(stderr, "\nThe configuration file is a JSON object. Paths are relative to it. Its members:")
		configfile.Describe(stderr, new(config).members())
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil || flags.NArg() > 0:
		fmt.Fprintln(stderr, usage)
		return 2
	}
	c, err := configured(*path, *state)
	switch {
	case err != nil:
	case !*unattended:
		err = c.checkPages()
	case len(c.banks) > 1:
		err = errors.New("banks: -once is for one bank")
	}
	if err != nil {
		fmt.Fprintf(stderr, "fintech: the configuration is no good:\n%v\n", err)
		return 2
	}
	if *unattended {
		return once(ctx, c, stdout)
	}
	if err := serve(ctx, c, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "fintech:", err)
		return 1
	}
	return 0
}

// configured loads the configuration from a file, or from the directory of the
// bank's demonstration.
func configured(path, state string) (*config, error) {
	if path != "" {
		return loadConfig(path)
	}
	directory := demo.Path(state)
	root, err := demo.Open(directory)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errors.New("there is none: start the bank first, by go run ./examples/bank, or give one by -config")
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return loadConfig(filepath.Join(directory, "fintech.json"))
}
