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
		// Only the owner of the origin vouches for the keys. A redirect to
		// another origin would also be a way into the network of this client.
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

// transport returns the transport for one request every few minutes.
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

// PublicClient returns a client that connects only to public addresses and to
// those in allow, as [RemoteConfig].PublicOnly does. Use it for other URLs that
// a stranger chose. Redirects have the same restriction.
//
// Its Transport is an *http.Transport that the caller may change, for example
// to add roots to TLSClientConfig. A caller that replaces DialContext or sets
// Proxy removes the restriction. PublicClient returns an error for an invalid
// prefix, and for one that contains all addresses.
func PublicClient(allow ...netip.Prefix) (*http.Client, error) {
	g, err := newGuard(allow)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: g.transport(), Timeout: defaultTimeout}, nil
}

// A guard has the prefixes of permitted addresses that are not public.
type guard []netip.Prefix

func newGuard(allow []netip.Prefix) (guard, error) {
	var g guard
	for _, p := range allow {
		if p.IsValid() && p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if !p.IsValid() || p.Bits() == 0 {
			return nil, fmt.Errorf("jwks: invalid AllowPrefixes element %s", p)
		}
		g = append(g, p.Masked())
	}
	return g, nil
}

func (g guard) transport() *http.Transport {
	t := newTransport() // without Proxy, which would resolve the name itself
	t.DialContext = (&net.Dialer{Control: g.control}).DialContext
	return t
}

// control checks each address after the name has been resolved. A name that
// resolves to another address the second time cannot evade it.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	// JWT-BIS-1: a jwks_uri must not lead into the network of this program.
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

// notPublic has the ranges for which netip.Addr has no method (IANA
// special-purpose registries).
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
	netip.MustParsePrefix("2002::/16"),       // 6to4, which contains private IPv4 addresses
	netip.MustParsePrefix("3fff::/20"),       // documentation
}

// globalUnicast is the range of global unicast addresses in IPv6. Outside are
// the prefixes of translators (64:ff9b::/96, 64:ff9b:1::/48), IPv4-compatible,
// site-local and unique local addresses, and unassigned ranges.
var globalUnicast = netip.MustParsePrefix("2000::/3")

func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Is6() && !globalUnicast.Contains(ip) {
		return false
	}
	return !slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(ip) })
}
