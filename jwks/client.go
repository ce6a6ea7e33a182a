package jwks

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
)

func (r *Remote) newClient() *http.Client {
	client := &http.Client{Transport: r.cfg.transport()}
	if r.cfg.HTTPClient != nil {
		own := *r.cfg.HTTPClient
		own.Jar = nil
		client = &own
	}
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		// The owner of the origin vouches for the keys; nobody else is asked. A redirect to another origin would also let
		// whoever controls the URL reach into our network.
		if !sameOrigin(req.URL, r.url) {
			return errors.New("redirect to another origin")
		}
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		return nil
	}
	return client
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

// transport is made for one request every few minutes.
func (cfg *RemoteConfig) transport() http.RoundTripper {
	switch {
	case cfg.HTTPClient != nil:
		return nil
	case cfg.PublicOnly:
		return guard(cfg.AllowPrefixes).transport()
	}
	t := newTransport()
	t.Proxy = http.ProxyFromEnvironment
	return t
}

func newTransport() *http.Transport {
	return &http.Transport{
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12}, // SP-5.4.2-1
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 64 << 10,
		DisableKeepAlives:      true,
	}
}

// PublicClient returns a client that connects to public addresses only, as [RemoteConfig].PublicOnly has it, and to those in
// allow. It is for what takes an http.Client for URLs that strangers choose, and needs more of it: its Transport is a
// *http.Transport of its own, whose TLSClientConfig may be given other roots. Whoever replaces DialContext or Proxy takes
// the guard away. Redirects meet the same guard. The error says which of allow is
// not a prefix, or one that everything is in.
func PublicClient(allow ...netip.Prefix) (*http.Client, error) {
	g, err := newGuard(allow)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: g.transport(), Timeout: defaultTimeout}, nil
}

// A guard has the prefixes to which connections may be made although they are not public.
type guard []netip.Prefix

func newGuard(allow []netip.Prefix) (guard, error) {
	var g guard
	for _, p := range allow {
		if p.IsValid() && p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if !p.IsValid() || p.Bits() == 0 {
			return nil, fmt.Errorf("jwks: AllowPrefixes: %s", p)
		}
		g = append(g, p.Masked())
	}
	return g, nil
}

func (g guard) transport() *http.Transport {
	t := newTransport() // without Proxy: it would resolve the name where we cannot see it
	t.DialContext = (&net.Dialer{Control: g.control}).DialContext
	return t
}

// control runs after the name has been resolved, for each address that is tried, so that no name, and no second answer for
// it, gets around it.
//
// JWT-BIS-1: a jwks_uri must not make us talk to our own network.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := to.Addr().Unmap()
	if isPublic(ip) || slices.ContainsFunc(g, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return nil
	}
	return fmt.Errorf("%v is not a public address", ip)
}

// notPublic lists what netip.Addr has no method for (IANA special-purpose registries).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // shared address space
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // relays of 6to4
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarking
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, broadcast
	netip.MustParsePrefix("2001::/23"),       // protocol assignments: Teredo, benchmarking, ORCHID
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4: IPv4 inside, private ones too
	netip.MustParsePrefix("3fff::/20"),       // documentation
}

// globalUnicast is all of IPv6 that is assigned for it. Outside are the translators' prefixes (64:ff9b::/96, 64:ff9b:1::/48),
// IPv4-compatible, site-local and unique local addresses, and whatever else comes up there.
var globalUnicast = netip.MustParsePrefix("2000::/3")

func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Is6() && !globalUnicast.Contains(ip) {
		return false
	}
	return !slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(ip) })
}
