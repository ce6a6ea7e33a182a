package profile

import "crypto/tls"

// TLSConfig returns a TLS configuration for clients and servers as the FAPI 2.0
// Security Profile §5.2 requires. It prefers TLS 1.3 and permits TLS 1.2 with
// the four cipher suites of BCP 195 (RFC 9325), which all current browsers
// support. Each call returns a new value.
//
// A server adds its certificates. If it accepts client certificates, it sets
// ClientAuth: [tls.RequestClientCert] for self-signed ones, or
// [tls.VerifyClientCertIfGiven] together with ClientCAs. A client changes
// nothing. Do not set InsecureSkipVerify.
//
// The host is responsible for HSTS on pages for browsers, and for DNS security.
func TLSConfig() *tls.Config {
	return &tls.Config{
		// SP-5.2.1-2, SP-5.2.1-3: explicit, so that GODEBUG cannot lower it.
		MinVersion: tls.VersionTLS12,
		// SP-5.2.2-1, SP-5.2.2-2, SP-5.2.3-2: the suites of RFC 9325 §4.2, for
		// TLS 1.2 only. Those of TLS 1.3 are all safe and not configurable. The
		// default of Go has CBC suites. HTTP/2 requires the first two.
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
		// The hybrid comes first if both sides support it. It protects recorded
		// connections against future quantum computers.
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384},
		// SP-5.2.1-5, JAR-8-1: crypto/tls compares the host name with
		// subjectAltName only (RFC 9525).
		InsecureSkipVerify: false,
	}
}
