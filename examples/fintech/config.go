package main

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofapi/fapi2/examples/internal/configfile"
	"github.com/gofapi/fapi2/examples/internal/storage"
	"github.com/gofapi/fapi2/examples/internal/telemetry"
	"github.com/gofapi/fapi2/profile/client"
)

// settings are the members of a configuration file. See members.
type settings struct {
	bankSettings // of the only bank, or what the banks have in common
	Banks        []bankSettings

	RedirectURI, Listen, Store, MetricsListen string
	DrainSeconds                              int
}

// members returns the table of the members of a configuration file.
func (c *config) members() []configfile.Member {
	return append(c.bankSettings.members(), []configfile.Member{
		{Name: "banks", Into: &c.Banks, Default: "one bank, which has the members above",
			Meaning: "Several banks. Each has its own name, issuer and resource_url. Its other members are by " +
				"default those of the file."},
		{Name: "redirect_uri", Into: &c.RedirectURI, Default: "required",
			Meaning: "Where the banks send the browser back to, as registered. All banks have the same one. The " +
				"pages are served at its host and port."},
		{Name: "store", Into: &c.Store, Default: "sqlite:NAME.data/fintech.db for a configuration NAME.json",
			Meaning: "Where users, tokens and keys are kept: " + storage.Kinds + ". A directory of its own is " +
				"created for PATH. Several instances of the application can use one store."},
		{Name: "listen", Into: &c.Listen, Default: "host and port of redirect_uri",
			Meaning: "host:port of the pages, for example of one of several instances behind a load balancer."},
		{Name: "drain_seconds", Into: &c.DrainSeconds, Default: "0",
			Meaning: "The time from SIGTERM until the application accepts no more connections, 0 to 300. Meanwhile " +
				"/readyz responds with 503, so that load balancers use other instances."},
		{Name: "metrics_listen", Into: &c.MetricsListen, Default: "no metrics for Prometheus",
			Meaning: "host:port of /metrics over http, on a loopback address."},
	}...)
}

// A config is a checked configuration together with the loaded files that it
// names.
type config struct {
	settings
	banks []*bank // at least one
	store storage.Name

	tokens    *client.Tokens // of the store; nil with -once
	shared    bool           // other instances use the same tokens
	telemetry *telemetry.Telemetry
}

const maxFile = 1 << 20

// loadConfig reads a configuration. The error lists all problems.
func loadConfig(path string) (*config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	c := new(config)
	p := configfile.Read(data, c.members())
	c.loadBanks(filepath.Dir(path), p)
	c.checkRedirectURI(p)
	c.checkStore(path, p)
	c.checkOperation(p)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxFile)
	}
	return data, err
}

func (c *config) checkOperation(p *configfile.Problems) {
	p.Require(c.DrainSeconds >= 0 && c.DrainSeconds <= 300, "drain_seconds", "%d is not 0 to 300", c.DrainSeconds)
	_, listenPort, err := net.SplitHostPort(c.Listen)
	p.Require(c.Listen == "" || err == nil && listenPort != "" && listenPort != "0", "listen",
		"%.100q is not host:port", c.Listen)
	host, port, err := net.SplitHostPort(c.MetricsListen)
	loopback := host == "localhost" || net.ParseIP(host).IsLoopback()
	p.Require(c.MetricsListen == "" || err == nil && loopback && port != "" && port != "0", "metrics_listen",
		"%.100q is not host:port with a loopback address", c.MetricsListen)
}

// checkRedirectURI checks redirect_uri. Plain http is permitted on the loopback
// interface only, where no other machine listens.
func (c *config) checkRedirectURI(p *configfile.Problems) {
	u, err := url.Parse(c.RedirectURI)
	if err != nil || u.Host == "" || u.User != nil || strings.Contains(c.RedirectURI, "#") {
		p.Require(false, "redirect_uri", "missing, or not a URL without fragment")
		return
	}
	loopback := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	p.Require(u.Scheme == "https" || u.Scheme == "http" && loopback, "redirect_uri",
		"neither https nor http on loopback")
}
