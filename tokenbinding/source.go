package tokenbinding

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
)

const (
	maxCertificateHeader = 16 << 10 // bytes, of each header
	maxChain             = 10       // certificates
	maxCachedHeader      = 8 << 10  // bytes
	cachedHeaders        = 2048
)

// CertificateSourceConfig configures a [CertificateSource]. The zero value is
// for a server that terminates TLS itself. It trusts the connection, and
// rejects requests with a header of one of the proxies below. The page
// docs/mutual-tls-proxies.md has a configuration for each proxy.
type CertificateSourceConfig struct {
	// Proxy is the kind of proxy that terminates TLS. It determines the header
	// and its form. If empty, this server terminates TLS.
	//
	//	rfc9440   Client-Cert and Client-Cert-Chain (RFC 9440): prefer it for
	//	          HAProxy, Caddy and load balancers that support it
	//	nginx     X-SSL-Client-Cert with $ssl_client_escaped_cert: PEM, percent-encoded
	//	haproxy   X-SSL-Client-Cert with ssl_c_der,base64: DER in base64
	//	envoy     X-Forwarded-Client-Cert with Hash and with Cert, Chain or both
	//	aws-alb   X-Amzn-Mtls-Clientcert-Leaf of an Application Load Balancer in verify mode
	//	traefik   X-Forwarded-Tls-Client-Cert of the middleware passTLSClientCert
	//
	// An absent or empty header means that the client presented no certificate.
	Proxy string
	// Header is the name of the header of nginx or haproxy. The default is
	// X-SSL-Client-Cert.
	Header string
	// TrustedPeers are the addresses of the proxy. A header from another peer
	// is an error. Required with Proxy, unless TrustUnixSocket is set.
	//
	// The peer is http.Request.RemoteAddr as net/http sets it, an address with
	// a port. No middleware may rewrite it before. A prefix that contains all
	// addresses is invalid.
	TrustedPeers []netip.Prefix
	// TrustUnixSocket trusts the header on connections by a Unix domain socket.
	// The permissions of the socket's file must exclude other processes.
	TrustUnixSocket bool
	// ProxyConnection reports whether a connection belongs to the proxy, by its
	// TLS state. Set it for proxies that use mutual TLS with a certificate of
	// their own, in addition to TrustedPeers. If nil, a connection with a
	// client certificate is an error, because it could be the proxy's or the
	// client's. It is called concurrently.
	ProxyConnection func(*tls.ConnectionState) bool
	// ChainVerified means that the proxy verifies chains against the trust
	// anchors for clients, and forwards no other certificate. It sets
	// [ClientCertificate].Verified. It is invalid without Proxy, because TLS
	// itself then verifies chains.
	ChainVerified bool
	// EnvoyElements is the number of proxies that add an element to
	// X-Forwarded-Client-Cert, for envoy. The default is 1. The client's
	// certificate is in the first of that many elements. More elements are an
	// error. Fewer mean that the client presented no certificate. The outermost
	// proxy must remove the header of the client (SANITIZE_SET).
	EnvoyElements int
	// InsecurePassthrough reads X-Amzn-Mtls-Clientcert, the header of aws-alb
	// in passthrough mode. In that mode the load balancer does not verify
	// chains, so ChainVerified is invalid.
	InsecurePassthrough bool
	// SelfSignedCA accepts a self-signed certificate that is marked as that of
	// a CA, unless its chain was verified. Clients of
	// self_signed_tls_client_auth often have one, because openssl req -x509
	// makes it. Such a client registers the whole certificate, so it does not
	// vouch for another one. Set it only if no client uses tls_client_auth.
	SelfSignedCA bool
	// Now returns the current time. It is called concurrently. If nil, time.Now
	// is used.
	Now func() time.Time
}

// A CertificateSource finds the certificate that a client has presented.
// [NewCertificateSource] makes it. The zero value has the zero configuration.
// It is safe for concurrent use and must not be copied.
type CertificateSource struct {
	cfg     CertificateSourceConfig
	headers []string // canonical; the first one has the client's own certificate
	absent  string   // a header that the proxy sends in another mode
	parse   func(values []string) (chain [][]byte, err error)

	thumbprints thumbprints                        // of connections
	parsed      *expiring.Cache[ClientCertificate] // by the exact values of the headers
}

// NewCertificateSource returns the source for a configuration. The error has
// every problem of cfg.
func NewCertificateSource(cfg CertificateSourceConfig) (*CertificateSource, error) {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("tokenbinding: CertificateSourceConfig: "+format, args...))
	}
	peers := cfg.TrustedPeers
	cfg.TrustedPeers = nil
	for _, p := range peers {
		if p.IsValid() && p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if !p.IsValid() || p.Bits() == 0 {
			bad("invalid TrustedPeers element %s", p)
			continue
		}
		cfg.TrustedPeers = append(cfg.TrustedPeers, p.Masked())
	}
	proxied := cfg.Header != "" || len(peers) != 0 || cfg.TrustUnixSocket || cfg.ProxyConnection != nil ||
		cfg.ChainVerified
	switch {
	case cfg.Proxy == "" && proxied:
		bad("settings for a proxy without Proxy")
	case cfg.Proxy != "" && len(peers) == 0 && !cfg.TrustUnixSocket:
		// MTLS-6.5-1: a header that any peer may send is worthless.
		bad("missing TrustedPeers")
	}
	s := &CertificateSource{cfg: cfg, parsed: expiring.NewCache[ClientCertificate](cachedHeaders)}
	s.setForm(bad)
	if problems != nil {
		return nil, errors.Join(problems...)
	}
	return s, nil
}

const (
	chosenHeader = "X-Ssl-Client-Cert" // unless Header is set
	albLeaf      = "X-Amzn-Mtls-Clientcert-Leaf"
	albChain     = "X-Amzn-Mtls-Clientcert"
)

// setForm sets headers, absent and parse, and reports settings of other
// proxies.
func (s *CertificateSource) setForm(bad func(format string, args ...any)) {
	cfg := &s.cfg
	switch cfg.Proxy {
	case "":
	case "rfc9440":
		s.headers, s.parse = []string{"Client-Cert", "Client-Cert-Chain"}, parseRFC9440
	case "nginx":
		s.headers, s.parse = []string{chosenHeader}, parseEscapedPEM(1)
	case "haproxy":
		s.headers, s.parse = []string{chosenHeader}, parseBase64DER
	case "envoy":
		cfg.EnvoyElements = cmp.Or(cfg.EnvoyElements, 1)
		s.headers, s.parse = []string{"X-Forwarded-Client-Cert"}, parseXFCC(cfg.EnvoyElements)
	case "aws-alb":
		s.headers, s.absent, s.parse = []string{albLeaf}, albChain, parseEscapedPEM(1)
		if cfg.InsecurePassthrough {
			s.headers, s.absent, s.parse = []string{albChain}, albLeaf, parseEscapedPEM(maxChain)
		}
	case "traefik":
		s.headers, s.parse = []string{"X-Forwarded-Tls-Client-Cert"}, parseTraefik
	default:
		bad("unknown Proxy %.32q", cfg.Proxy)
	}
	if cfg.InsecurePassthrough && (cfg.Proxy != "aws-alb" || cfg.ChainVerified) {
		bad("InsecurePassthrough without Proxy aws-alb, or with ChainVerified")
	}
	if cfg.EnvoyElements < 0 || cfg.EnvoyElements > maxChain || cfg.EnvoyElements != 0 && cfg.Proxy != "envoy" {
		bad("invalid EnvoyElements %d, want 1 to %d for envoy", cfg.EnvoyElements, maxChain)
	}
	if cfg.Header == "" {
		return
	}
	if cfg.Proxy != "nginx" && cfg.Proxy != "haproxy" {
		bad("Header without Proxy nginx or haproxy")
	}
	if strings.ContainsFunc(cfg.Header, func(c rune) bool { return c != '_' && !headerNameRune(c) }) {
		bad("malformed Header %.64q", cfg.Header)
	}
	s.headers = []string{http.CanonicalHeaderKey(cfg.Header)}
}

func headerNameRune(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-'
}

// Certificate returns the certificate of the client that sent a request. It
// returns the zero ClientCertificate if the client presented none. The error is
// [ErrCertificateSource], [ErrCertificateHeader] or [ErrCertificate]. After an
// error the host must reject the request, even if it needs no certificate,
// because its sender is unknown.
//
// Certificate does not check trust anchors and revocation lists; see
// [ClientCertificate].Verified.
func (s *CertificateSource) Certificate(r *http.Request) (ClientCertificate, error) {
	from := s.fromProxy
	if s.cfg.Proxy == "" {
		from = s.fromConnection
	}
	c, err := from(r)
	if err != nil || len(c.Chain) == 0 {
		return ClientCertificate{}, err
	}
	now := time.Now
	if s.cfg.Now != nil {
		now = s.cfg.Now
	}
	// This check is not cached, because connections and caches may live longer
	// than certificates.
	if err := c.check(now(), s.cfg.SelfSignedCA); err != nil {
		return ClientCertificate{}, err
	}
	return c, nil
}

// fromConnection returns the certificate of the TLS connection.
func (s *CertificateSource) fromConnection(r *http.Request) (ClientCertificate, error) {
	// BCP-4.13-1: no peer is trusted to send these headers. Either a client
	// forges one, or there is a proxy without configuration. All clients would
	// then have the certificate of the proxy's connection, or none.
	for _, name := range []string{
		"Client-Cert", "Client-Cert-Chain", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert",
		albChain, albLeaf, chosenHeader,
	} {
		if len(r.Header[name]) != 0 {
			return ClientCertificate{}, fmt.Errorf("%w: header %s without Proxy", ErrCertificateSource, name)
		}
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return ClientCertificate{}, nil
	}
	chain := r.TLS.PeerCertificates
	return ClientCertificate{
		Chain:      slices.Clip(chain),
		Thumbprint: s.thumbprints.get(chain[0]), // MTLS-3-3
		Verified:   len(r.TLS.VerifiedChains) != 0,
	}, nil
}

// fromProxy returns the certificate in the headers of the proxy.
func (s *CertificateSource) fromProxy(r *http.Request) (ClientCertificate, error) {
	fail := func(kind error, format string, args ...any) (ClientCertificate, error) {
		return ClientCertificate{}, fmt.Errorf("%w: %w", kind, fmt.Errorf(format, args...))
	}
	present := ""
	for _, name := range s.headers {
		if len(r.Header[name]) != 0 {
			present = name
		}
	}
	if s.absent != "" && len(r.Header[s.absent]) != 0 {
		return fail(ErrCertificateSource, "header %s of another mode of the proxy", s.absent)
	}
	connected := r.TLS != nil && len(r.TLS.PeerCertificates) != 0
	switch {
	case present != "" && !s.trusted(r): // MTLS-6.5-1: forged, or the prefixes are wrong
		return fail(ErrCertificateSource, "header %s from untrusted peer %.64q", present, r.RemoteAddr)
	case s.cfg.ProxyConnection == nil && connected:
		return fail(ErrCertificateSource, "client certificate of the connection, but the proxy terminates TLS")
	case s.cfg.ProxyConnection != nil && (present != "" || connected) &&
		(r.TLS == nil || !s.cfg.ProxyConnection(r.TLS)):
		return fail(ErrCertificateSource, "connection not recognised by ProxyConnection")
	case present == "":
		return ClientCertificate{}, nil
	}
	values := make([]string, len(s.headers))
	for i, name := range s.headers {
		switch all := r.Header[name]; {
		case len(all) > 1:
			// BCP-4.13-1: one header is the client's and one the proxy's, in an
			// unknown order.
			return fail(ErrCertificateHeader, "%d headers %s; does the proxy remove the client's?", len(all), name)
		case len(all) == 1 && len(all[0]) > maxCertificateHeader:
			return fail(ErrCertificateHeader, "%s of %d bytes, more than %d", name, len(all[0]), maxCertificateHeader)
		case len(all) == 1:
			values[i] = all[0]
		}
	}
	return s.fromValues(values)
}

// trusted reports whether a request comes from an address of the proxy.
func (s *CertificateSource) trusted(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if ok && strings.HasPrefix(local.Network(), "unix") {
		return s.cfg.TrustUnixSocket
	}
	// An address without a port does not come from net/http.
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	addr := peer.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(s.cfg.TrustedPeers, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// fromValues parses the values of trusted headers, in the order of s.headers.
// The value of an absent header is empty.
func (s *CertificateSource) fromValues(values []string) (ClientCertificate, error) {
	key := values[0]
	if len(values) > 1 && values[1] != "" {
		key = strings.Join(values, "\n")
	}
	if key == "" {
		return ClientCertificate{}, nil
	}
	if c, ok := s.parsed.Get(key); ok {
		return c, nil
	}
	ders, err := s.parse(values)
	if err != nil {
		return ClientCertificate{}, fmt.Errorf("%w: %s: %w", ErrCertificateHeader, s.headers[0], err)
	}
	if len(ders) == 0 {
		return ClientCertificate{}, nil
	}
	c := ClientCertificate{Verified: s.cfg.ChainVerified}
	for i, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil { // its text may contain parts of the certificate
			return ClientCertificate{}, fmt.Errorf("%w: %s: malformed certificate %d", ErrCertificateHeader,
				s.headers[0], i)
		}
		c.Chain = append(c.Chain, cert)
	}
	c.Chain = slices.Clip(c.Chain)
	c.Thumbprint = CertificateThumbprint(c.Chain[0])
	if len(key) <= maxCachedHeader {
		s.parsed.Put(key, c)
	}
	return c, nil
}
