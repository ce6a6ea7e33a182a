// Command fintech is a small client of a bank under FAPI 2.0: a web application that logs its users in at the bank, shows
// their accounts, pays from them and shows what they have granted.
//
//	go run ./examples/fintech [-config FILE] [-once]
//
// FILE is JSON with client metadata under their registered names; type members in config.go has all of them. Without -config it is
// what go run ./examples/bank has left in a directory fapi2-demo of the system's directory for temporary files, so that
// the two commands, in this order and in two terminals, are a demonstration. It serves its pages at the host and port of its
// redirect_uri, with a certificate that it makes when it starts and that no browser knows.
//
// With -once it serves no pages. It performs one authorization as a browser without a person, at a server that asks nobody
// anything, reads resource_url with the token and prints one line of JSON.
//
// It ends with status 0 on success, 1 when something was refused or failed, and 2 when flags or configuration are no good.
//
// What to copy from is in app.go. The rest is pages, configuration, and the browser of -once.
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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	exit := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(exit)
}

const usage = "usage: fintech [-config FILE] [-once]"

// run is the program. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (exit int) {
	flags := flag.NewFlagSet("fintech", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", "", "the `file` with the configuration (default: what the bank's demonstration has left)")
	unattended := flags.Bool("once", false, "perform one authorization without a person and print what came of it")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil || flags.NArg() > 0:
		fmt.Fprintln(stderr, usage)
		return 2
	}
	c, err := configured(*path)
	if err == nil && !*unattended {
		err = c.checkPages()
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

// configured loads the configuration from a file, or from where the bank's demonstration leaves it.
func configured(path string) (*config, error) {
	if path != "" {
		return loadConfig(path)
	}
	// Others may write where this directory is. One of theirs, or a link, would have us trust whom they like; what is ours they
	// cannot replace there.
	demo := filepath.Join(os.TempDir(), "fapi2-demo")
	switch about, err := os.Lstat(demo); {
	case errors.Is(err, os.ErrNotExist):
		return nil, errors.New("there is none: start the bank first, by go run ./examples/bank, or give one by -config")
	case err != nil:
		return nil, err
	case !about.IsDir() || !isOurs(about):
		return nil, fmt.Errorf("%s is not a directory that only you can use", demo)
	}
	return loadConfig(filepath.Join(demo, "fintech.json"))
}
