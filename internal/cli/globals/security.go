package globals

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/spf13/pflag"

	"github.com/chronik-project/chronik/internal/cli/exit"
)

// Security is how connections to brokers are protected.
type Security struct {
	TLS       bool
	CAFile    string
	CertFile  string
	KeyFile   string
	Insecure  bool
	User      string
	Password  string
	Mechanism string
}

func (s *Security) bind(fs *pflag.FlagSet) {
	fs.BoolVar(&s.TLS, "tls", false, "connect with TLS")
	fs.StringVar(&s.CAFile, "tls-ca", "", "trust the authorities in this PEM `FILE` (implies --tls)")
	fs.StringVar(&s.CertFile, "tls-cert", "", "show the client certificate in this PEM `FILE` (implies --tls)")
	fs.StringVar(&s.KeyFile, "tls-key", "", "the private key of --tls-cert, a PEM `FILE`")
	fs.BoolVar(&s.Insecure, "tls-insecure-skip-verify", false, "accept any server certificate (implies --tls)")
	fs.StringVar(&s.User, "user", "", "log in as this SASL `USER`")
	fs.StringVar(&s.Password, "password", "", "the user's `PASSWORD`; better in CHRONIK_PASSWORD, which ps does not show")
	fs.StringVar(&s.Mechanism, "sasl-mechanism", "", "log in with `MECHANISM` PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 (default SCRAM-SHA-512)")
}

// tlsConfig returns nil for plain text.
func (s *Security) tlsConfig() (*tls.Config, error) {
	if !s.TLS && s.CAFile == "" && s.CertFile == "" && !s.Insecure {
		return nil, nil // plain text is a choice, not a failure
	}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: s.Insecure, // the flag says so
	}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, exit.Usagef("", "--tls-ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, exit.Usagef("", "--tls-ca: %s has no PEM certificate", s.CAFile)
		}
	}
	if s.CertFile != "" || s.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, exit.Usagef("--tls-cert and --tls-key go together", "client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
