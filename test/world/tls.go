package world

import (
	"crypto/tls"

	"github.com/walshift/walshift/test/cluster"
)

func tlsConfig(c *cluster.Certificate) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}
