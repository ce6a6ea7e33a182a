package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gofapi/fapi2/examples/internal/configfile"
	"github.com/gofapi/fapi2/examples/internal/telemetry"
)

// Exit statuses.
const (
	statusFailed = 1
	statusUsage  = 2 // arguments or configuration
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bank", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", "", "configuration `file`; without one: a bank for trying things out")
	state := flags.String("state", "",
		"`directory` that the bank without a configuration shares with the fintech; the default is in the user's "+
			"cache directory")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: bank [-config file | -state directory]")
		flags.PrintDefaults()
		fmt.Fprintln(stderr,
			"\nThe configuration file is a JSON object. Paths are relative to the working directory. Its members:")
		configfile.Describe(stderr, newConfig().members())
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return statusUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "bank: unexpected argument %q\n", flags.Arg(0))
		return statusUsage
	}
	var cfg *config
	var demo *demonstration
	var err error
	if *path != "" {
		cfg, err = loadConfig(*path)
	} else {
		cfg, demo, err = newDemo(*state)
	}
	if err != nil {
		report(stderr, *path, err)
		return statusUsage
	}
	return start(ctx, cfg, demo, stdout, stderr)
}

// start serves a configuration until ctx ends.
func start(ctx context.Context, cfg *config, demo *demonstration, stdout, stderr io.Writer) int {
	fail := func(status int, err error) int {
		report(stderr, "", err)
		return status
	}
	log := slog.New(telemetry.Log(slog.NewJSONHandler(stderr, nil)))
	exported, err := telemetry.Start(ctx, telemetry.Config{
		Service: "bank", Prometheus: cfg.operatorListen != "", Logger: log,
	})
	if err != nil {
		return fail(statusUsage, err)
	}
	defer exported.Shutdown(log)
	around := surroundings{log: log, now: time.Now, telemetry: exported}
	kept, err := openStores(ctx, cfg.stores, around)
	if err != nil {
		return fail(statusFailed, err)
	}
	defer kept.close() //nolint:errcheck // the program ends
	b, err := newBank(ctx, cfg, kept, around)
	if err != nil {
		return fail(statusUsage, err)
	}
	certificate, made, err := b.certificate(ctx)
	if err != nil {
		return fail(statusUsage, err)
	}
	if cfg.tellsAll {
		log.WarnContext(ctx, "every client may introspect every token: there is no resource_servers")
	}
	sockets, err := b.listen(ctx)
	if err != nil {
		return fail(statusFailed, err)
	}
	if cfg.writeCA != "" {
		err = replaceFile(cfg.writeCA, made.pem())
	}
	if demo != nil {
		err = demo.write()
	}
	if err != nil {
		return fail(statusFailed, err)
	}
	if demo != nil {
		demo.explain(stderr)
	}
	if err := printReady(stdout, cfg.issuer); err != nil {
		return fail(statusFailed, err)
	}
	go b.deliverAlways(ctx)
	go b.vault.RotateAlways(ctx, log)
	shown := newServed(certificate)
	go b.renewAlways(ctx, shown)
	if err := serve(b.probe.Drain(ctx, cfg.drain()), log, shown, sockets...); err != nil {
		return fail(statusFailed, err)
	}
	return 0
}

// listen opens the sockets of the configuration.
func (b *bank) listen(ctx context.Context) (sockets []socket, err error) {
	listeners := make([]net.Listener, 3)
	for i, address := range []string{b.cfg.listen, b.cfg.mtlsListen, b.cfg.operatorListen} {
		if address == "" {
			continue
		}
		if listeners[i], err = new(net.ListenConfig).Listen(ctx, "tcp", address); err != nil {
			break
		}
	}
	if err == nil {
		sockets, err = b.sockets(listeners[0], listeners[1])
	}
	if err != nil {
		for _, l := range listeners {
			if l != nil {
				err = errors.Join(err, l.Close())
			}
		}
		return nil, err
	}
	if listeners[2] != nil {
		sockets = append(sockets, socket{listener: listeners[2], handler: b.operatorHandler()})
	}
	return sockets, nil
}

// sockets returns the handlers of each listener. mtls may be nil.
func (b *bank) sockets(listener, mtls net.Listener) ([]socket, error) {
	handler, err := b.handler()
	if err != nil {
		return nil, err
	}
	sockets := []socket{{listener: listener, handler: handler}}
	if mtls != nil {
		if handler, err = b.mtlsHandler(); err != nil {
			return nil, err
		}
		sockets = append(sockets, socket{listener: mtls, handler: handler, asks: true})
	}
	return sockets, nil
}

// report prints the problems, one on each line.
func report(stderr io.Writer, path string, err error) {
	lines := strings.Split(err.Error(), "\n")
	if path == "" || len(lines) == 1 {
		fmt.Fprintln(stderr, "bank:", strings.Join(lines, "\nbank: "))
		return
	}
	fmt.Fprintf(stderr, "bank: %s has %d problems:\n  %s\n", path, len(lines), strings.Join(lines, "\n  "))
}
