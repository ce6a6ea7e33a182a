package snippets_test

import (
	"net/netip"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/tokenbinding"
)

var _ = []any{nginx, haproxy, caddy, envoy, loadBalancer, traefik, bothRoles}

var local = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func nginx() tokenbinding.CertificateSourceConfig {
	return tokenbinding.CertificateSourceConfig{
		Proxy:         "nginx",
		TrustedPeers:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		ChainVerified: true, // because of "ssl_verify_client optional": a faulty certificate is status 400
	}
}

func haproxy() tokenbinding.CertificateSourceConfig {
	return tokenbinding.CertificateSourceConfig{
		Proxy:         "rfc9440",
		TrustedPeers:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		ChainVerified: true, // because of "verify optional": the handshake fails with a faulty certificate
	}
}

func caddy() tokenbinding.CertificateSourceConfig {
	return tokenbinding.CertificateSourceConfig{Proxy: "haproxy", TrustedPeers: local, ChainVerified: true}
}

func envoy() tokenbinding.CertificateSourceConfig {
	return tokenbinding.CertificateSourceConfig{Proxy: "envoy", TrustedPeers: local, ChainVerified: true}
}

func loadBalancer(subnets []netip.Prefix) tokenbinding.CertificateSourceConfig {
	return tokenbinding.CertificateSourceConfig{Proxy: "aws-alb", TrustedPeers: subnets, ChainVerified: true}
}

func traefik() tokenbinding.CertificateSourceConfig {
	return tokenbinding.CertificateSourceConfig{Proxy: "traefik", TrustedPeers: local, ChainVerified: true}
}

func bothRoles(config tokenbinding.CertificateSourceConfig, as *authserver.Config, api *resourceserver.Config) error {
	//docs:begin bothRoles
	certificates, err := tokenbinding.NewCertificateSource(config)
	if err != nil {
		return err
	}
	as.MutualTLS = &authserver.MutualTLS{Certificates: certificates}
	api.Certificates = certificates
	//docs:end
	return nil
}
