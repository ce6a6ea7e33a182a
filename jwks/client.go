package jwks

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
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
	if cfg.HTTPClient != nil {
		return nil
	}
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12}, // SP-5.4.2-1
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 64 << 10,
		DisableKeepAlives:      true,
	}
	if cfg.PublicOnly {
		// A proxy would resolve the name where we cannot see it.
		t.Proxy = nil
		t.DialContext = (&net.Dialer{Control: refusePrivate}).DialContext
	}
	return t
}

// refusePrivate runs after the name has been resolved, so that no name, and no second answer for it, gets around it.
//
// JWT-BIS-1: a jwks_uri must not make us talk to our own network.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if !isPublic(to.Addr().Unmap()) {
		return fmt.Errorf("%v is not a public address", to.Addr())
	}
	return nil
}

// notPublic lists what netip.Addr has no method for (IANA special-purpose registries).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // shared address space
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarking
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, broadcast
	netip.MustParsePrefix("64:ff9b::/96"),    // IPv4 behind a translator, private ones too
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"), // 6to4, the same
	netip.MustParsePrefix("2001::/23"), // protocol assignments
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("100::/64"),
}

func isPublic(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}
