package tokenbinding

import (
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

// CertificateSourceConfig says where TLS ends. The zero value is for a server at which TLS ends itself: it believes the
// connection, and refuses requests with a header of the kinds below, which nobody is trusted to send. The file proxies.md
// beside this package has a configuration for each proxy.
type CertificateSourceConfig struct {
	// Proxy is the kind of proxy at which TLS ends, and with it the header and its form. Empty: TLS ends here.
	//
	//	rfc9440   Client-Cert and Client-Cert-Chain (RFC 9440), which HAProxy, Caddy and the load balancers of several
	//	          clouds can be told to send; the first choice where there is one
	//	nginx     X-SSL-Client-Cert with $ssl_client_escaped_cert: PEM, percent-encoded
	//	haproxy   X-SSL-Client-Cert with ssl_c_der,base64: DER in base64
	//	envoy     X-Forwarded-Client-Cert with Hash and with Cert, Chain or both
	//	aws-alb   X-Amzn-Mtls-Clientcert-Leaf of an Application Load Balancer in verify mode
	//	traefik   X-Forwarded-Tls-Client-Cert of the middleware passTLSClientCert
	//
	// An absent header, and an empty one, mean that the client presented no certificate.
	Proxy string
	// Header is another name for the header of nginx and haproxy, whose name is yours to choose.
	Header string
	// TrustedPeers are the addresses that the proxy connects from. A header from any other peer is refused, not ignored.
	// The peer is http.Request.RemoteAddr as net/http sets it, address and port: no middleware that rewrites it may come
	// before. Prefixes that cover everyone (0.0.0.0/0) are refused. Required with Proxy, unless TrustUnixSocket is set.
	TrustedPeers []netip.Prefix
	// TrustUnixSocket believes the header on connections that come in by a Unix domain socket, where only processes of
	// this machine are that the file's permissions let in.
	TrustUnixSocket bool
	// ProxyConnection, if set, has to recognise in the TLS state of a connection that it is one of the proxy, besides what
	// TrustedPeers demands: for proxies that use mutual TLS with a certificate of their own. Without it a connection that
	// has a client certificate of its own is refused: it is not to be known whose that is. It is called concurrently.
	ProxyConnection func(*tls.ConnectionState) bool
	// ChainVerified says that the proxy verifies chains against the trust anchors for clients, and passes on no certificate
	// that fails. It becomes [ClientCertificate].Verified. Without Proxy, TLS itself knows.
	ChainVerified bool
	// EnvoyElements, for envoy, is how many proxies between the client and here add an element to X-Forwarded-Client-Cert; 0
	// means 1. The client's is the first of that many; more are refused, fewer mean that the client presented none. The
	// outermost proxy has to remove what the client sends (SANITIZE_SET).
	EnvoyElements int
	// InsecurePassthrough, for aws-alb, reads X-Amzn-Mtls-Clientcert, which the load balancer sends in passthrough mode. It
	// has verified nothing about the chain then, and ChainVerified cannot be set.
	InsecurePassthrough bool
	// SelfSignedCA accepts a self-signed certificate marked as that of a CA, unless its chain was verified. Clients of
	// self_signed_tls_client_auth have such ones, for that is what openssl req -x509 makes. Registered as a whole, the
	// certificate vouches for no other there. Set it only where no client uses tls_client_auth.
	SelfSignedCA bool
	// Now is the clock; nil means time.Now. It is called concurrently.
	Now func() time.Time
}

// A CertificateSource finds the certificate that a client has presented. It is made by [NewCertificateSource]; the zero value
// is that of the zero configuration. Safe for concurrent use, and not to be copied.
type CertificateSource struct {
	cfg     CertificateSourceConfig
	headers []string // canonical; the first one has the client's own certificate
	absent  string   // a header that the proxy sends when it is configured otherwise
	parse   func(values []string) (chain [][]byte, err error)

	thumbprints thumbprints                        // of connections
	parsed      *expiring.Cache[ClientCertificate] // by the headers' exact values
}

// NewCertificateSource returns the source for a configuration. The error says what is wrong with that.
func NewCertificateSource(cfg CertificateSourceConfig) (*CertificateSource, error) {
	s := &CertificateSource{cfg: cfg}
	s.cfg.TrustedPeers = nil
	if cfg.Proxy == "" {
		if cfg.Header != "" || len(cfg.TrustedPeers) != 0 || cfg.TrustUnixSocket || cfg.ProxyConnection != nil || cfg.ChainVerified {
			return nil, errors.New("tokenbinding: CertificateSourceConfig has settings for a proxy, but no Proxy")
		}
	} else if len(cfg.TrustedPeers) == 0 && !cfg.TrustUnixSocket {
		// MTLS-6.5-1: a header that anybody may send is worth nothing.
		return nil, errors.New("tokenbinding: CertificateSourceConfig.TrustedPeers is empty")
	}
	for _, p := range cfg.TrustedPeers {
		if p.IsValid() && p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if !p.IsValid() || p.Bits() == 0 {
			return nil, fmt.Errorf("tokenbinding: CertificateSourceConfig.TrustedPeers: %s", p)
		}
		s.cfg.TrustedPeers = append(s.cfg.TrustedPeers, p.Masked())
	}
	if err := s.chooseForm(); err != nil {
		return nil, err
	}
	s.parsed = expiring.NewCache[ClientCertificate](cachedHeaders)
	return s, nil
}

// chooseForm sets headers, absent and parse, and refuses what does not go with the form.
func (s *CertificateSource) chooseForm() error {
	cfg := &s.cfg
	named := "X-Ssl-Client-Cert"
	switch cfg.Proxy {
	case "":
	case "rfc9440":
		s.headers, s.parse = []string{"Client-Cert", "Client-Cert-Chain"}, parseRFC9440
	case "nginx":
		s.headers, s.parse = []string{named}, parseEscapedPEM(1)
	case "haproxy":
		s.headers, s.parse = []string{named}, parseBase64DER
	case "envoy":
		if cfg.EnvoyElements == 0 {
			cfg.EnvoyElements = 1
		}
		if cfg.EnvoyElements < 1 || cfg.EnvoyElements > maxChain {
			return fmt.Errorf("tokenbinding: CertificateSourceConfig.EnvoyElements: %d", cfg.EnvoyElements)
		}
		s.headers, s.parse = []string{"X-Forwarded-Client-Cert"}, parseXFCC(cfg.EnvoyElements)
	case "aws-alb":
		leaf, passthrough := "X-Amzn-Mtls-Clientcert-Leaf", "X-Amzn-Mtls-Clientcert"
		s.headers, s.absent, s.parse = []string{leaf}, passthrough, parseEscapedPEM(1)
		if cfg.InsecurePassthrough {
			s.headers, s.absent, s.parse = []string{passthrough}, leaf, parseEscapedPEM(maxChain)
		}
	case "traefik":
		s.headers, s.parse = []string{"X-Forwarded-Tls-Client-Cert"}, parseTraefik
	default:
		return fmt.Errorf("tokenbinding: CertificateSourceConfig.Proxy: unknown kind %.32q", cfg.Proxy)
	}
	switch {
	case cfg.InsecurePassthrough && (cfg.Proxy != "aws-alb" || cfg.ChainVerified):
		return errors.New("tokenbinding: CertificateSourceConfig.InsecurePassthrough is for aws-alb, and without ChainVerified")
	case cfg.EnvoyElements != 0 && cfg.Proxy != "envoy":
		return errors.New("tokenbinding: CertificateSourceConfig.EnvoyElements is for envoy")
	case cfg.Header == "":
		return nil
	case len(s.headers) == 0 || s.headers[0] != named:
		return errors.New("tokenbinding: CertificateSourceConfig.Header is for nginx and haproxy")
	case strings.ContainsFunc(cfg.Header, func(c rune) bool { return c != '_' && !headerNameRune(c) }):
		return fmt.Errorf("tokenbinding: CertificateSourceConfig.Header: %.64q", cfg.Header)
	}
	s.headers = []string{http.CanonicalHeaderKey(cfg.Header)}
	return nil
}

func headerNameRune(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-'
}

// Certificate returns the certificate that the client of a request has presented, the zero ClientCertificate if none. Its
// errors are [ErrCertificateSource], [ErrCertificateHeader] and [ErrCertificate]. An error means that the request is to be
// refused even if it needs no certificate: it is not known who sent it.
//
// The certificate is not checked against trust anchors or revocation lists here; see [ClientCertificate].Verified.
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
	// Not kept with the certificate: connections and caches outlive certificates.
	if err := c.check(now(), s.cfg.SelfSignedCA); err != nil {
		return ClientCertificate{}, err
	}
	return c, nil
}

// fromConnection takes the certificate from TLS itself.
func (s *CertificateSource) fromConnection(r *http.Request) (ClientCertificate, error) {
	// BCP-4.13-1: nobody is trusted to send one of these. Either a client pretends, or there is a proxy that nobody has
	// configured: then the connection would be the proxy's, and all clients would share its certificate or have none.
	for _, name := range []string{"Client-Cert", "Client-Cert-Chain", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert",
		"X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Leaf", "X-Ssl-Client-Cert"} {
		if len(r.Header[name]) != 0 {
			return ClientCertificate{}, fmt.Errorf("%w: header %s, and no proxy configured", ErrCertificateSource, name)
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

// fromProxy takes the certificate from the proxy's headers.
func (s *CertificateSource) fromProxy(r *http.Request) (ClientCertificate, error) {
	present := ""
	for _, name := range s.headers {
		if len(r.Header[name]) != 0 {
			present = name
		}
	}
	if s.absent != "" && len(r.Header[s.absent]) != 0 {
		return ClientCertificate{}, fmt.Errorf("%w: %s, which the proxy sends in another mode than the one configured", ErrCertificateSource, s.absent)
	}
	connected := r.TLS != nil && len(r.TLS.PeerCertificates) != 0
	switch {
	case present != "" && !s.trusted(r): // MTLS-6.5-1: forged, or the prefixes are wrong
		return ClientCertificate{}, fmt.Errorf("%w: %s from %.64q, which is not among the trusted peers", ErrCertificateSource, present, r.RemoteAddr)
	case s.cfg.ProxyConnection == nil && connected:
		return ClientCertificate{}, fmt.Errorf("%w: the connection has a client certificate of its own, but TLS ends at the proxy", ErrCertificateSource)
	case s.cfg.ProxyConnection != nil && (present != "" || connected) && (r.TLS == nil || !s.cfg.ProxyConnection(r.TLS)):
		return ClientCertificate{}, fmt.Errorf("%w: the connection is not recognised as one of the proxy", ErrCertificateSource)
	case present == "":
		return ClientCertificate{}, nil
	}
	values := make([]string, len(s.headers))
	for i, name := range s.headers {
		switch all := r.Header[name]; {
		case len(all) > 1:
			// BCP-4.13-1: the client's own beside the proxy's. Which is which cannot be told.
			return ClientCertificate{}, fmt.Errorf("%w: %d headers %s; does the proxy remove what clients send?", ErrCertificateHeader, len(all), name)
		case len(all) == 1 && len(all[0]) > maxCertificateHeader:
			return ClientCertificate{}, fmt.Errorf("%w: %s has %d bytes, at most %d", ErrCertificateHeader, name, len(all[0]), maxCertificateHeader)
		case len(all) == 1:
			values[i] = all[0]
		}
	}
	return s.fromValues(values)
}

// trusted reports whether a request comes from an address that the proxy has.
func (s *CertificateSource) trusted(r *http.Request) bool {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && strings.HasPrefix(local.Network(), "unix") {
		return s.cfg.TrustUnixSocket
	}
	// An address without a port is not the one that net/http has seen.
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	addr := peer.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(s.cfg.TrustedPeers, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// fromValues reads headers that are trusted: values are those of s.headers, empty for one that is not there.
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
		if err != nil { // whose text may have parts of the certificate
			return ClientCertificate{}, fmt.Errorf("%w: %s: no X.509 certificate at position %d", ErrCertificateHeader, s.headers[0], i)
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
