package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificateLife is long enough for any test, and too short for anything else.
const certificateLife = 24 * time.Hour

// CA is a certificate authority of its own, which nobody else trusts.
type CA struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Certificate is a server's certificate and key, and the authority's
// certificate by which clients know it: paths of PEM files.
type Certificate struct {
	CertFile string
	KeyFile  string
	CAFile   string
}

// NewCA makes an authority, which writes its certificate (ca.crt) and those
// that it issues into dir.
func NewCA(dir string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the authority's key: %w", err)
	}
	template, err := certificateTemplate("walshift test authority")
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making the authority's certificate: %w", err)
	}
	ca := &CA{dir: dir, cert: cert, key: key}
	return ca, writePEM(ca.File(), "CERTIFICATE", der)
}

// File is the path of the authority's certificate.
func (ca *CA) File() string { return filepath.Join(ca.dir, "ca.crt") }

// Issue makes a certificate for a server that is reached under the given names
// or addresses. The first of them names the files.
func (ca *CA) Issue(name string, more ...string) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key for %s: %w", name, err)
	}
	template, err := certificateTemplate(name)
	if err != nil {
		return nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, subject := range append([]string{name}, more...) {
		if ip := net.ParseIP(subject); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, subject)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate for %s: %w", name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("writing the key for %s: %w", name, err)
	}
	issued := &Certificate{
		CertFile: filepath.Join(ca.dir, name+".crt"),
		KeyFile:  filepath.Join(ca.dir, name+".key"),
		CAFile:   ca.File(),
	}
	if err := writePEM(issued.CertFile, "CERTIFICATE", der); err != nil {
		return nil, err
	}
	return issued, writePEM(issued.KeyFile, "PRIVATE KEY", keyDER)
}

func certificateTemplate(commonName string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("choosing a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    now.Add(-time.Minute),
		NotAfter:     now.Add(certificateLife),
	}, nil
}

func writePEM(path, kind string, der []byte) error {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("writing a certificate: %w", err)
	}
	return nil
}

// trusting returns a client's configuration that trusts one authority alone. A
// file that can't be read leaves an authority that signed nothing.
func trusting(caFile string) *tls.Config {
	pool := x509.NewCertPool()
	if text, err := os.ReadFile(caFile); err == nil {
		pool.AppendCertsFromPEM(text)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}
