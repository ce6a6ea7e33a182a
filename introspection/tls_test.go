package introspection_test

import (
	"crypto/tls"
	"io"
	"log"
)

func oldTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
}

func discard() *log.Logger { return log.New(io.Discard, "", 0) }
