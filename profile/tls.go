package profile

import "crypto/tls"

// TLSConfig returns a TLS configuration for both sides that keeps to BCP 195
// (RFC 9325) as the FAPI 2.0 Security Profile §5.2 asks: TLS 1.3 preferred, TLS
// 1.2 with the four cipher suites that BCP 195 recommends, nothing older. Every
// call returns a new value, to which a server adds its certificates. A client
// needs nothing more: the certificate of the server is checked against its host
// name. Do not set InsecureSkipVerify.
//
// A server that takes client certificates sets ClientAuth to
// [tls.RequestClientCert] for self-signed ones, or to
// [tls.VerifyClientCertIfGiven] with ClientCAs.
//
// The four suites serve browsers too; all current ones have them. The host
// stays responsible for what no TLS library can do: HSTS for the pages that
// browsers see, and DNS security.
func TLSConfig() *tls.Config {
	return &tls.Config{
		// SP-5.2.1-2, SP-5.2.1-3: said here, so that no environment variable
		// (GODEBUG) lowers it.
		MinVersion: tls.VersionTLS12,
		// SP-5.2.2-1, SP-5.2.2-2, SP-5.2.3-2: the suites of RFC 9325 §4.2, for
		// TLS 1.2 alone; those of TLS 1.3 are all good and not configurable.
		// Go's own default still has CBC suites. HTTP/2 needs the first two.
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
		// Neither P-224 nor finite fields; the hybrid comes first wherever both
		// sides have it, against those who record today to decrypt when they
		// can.
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384},
		// SP-5.2.1-5, JAR-8-1: RFC 9525. crypto/tls compares subjectAltName
		// alone, never the common name.
		InsecureSkipVerify: false,
	}
}
