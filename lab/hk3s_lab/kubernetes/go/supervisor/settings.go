// Package supervisor answers the paths that a k3s server serves beside the Kubernetes API:
// what an agent needs to trust the cluster, to prove itself and to get its kubelet's certificates.
// It knows nothing of kube-apiserver's set-up but the authenticator and the client it is given.
package supervisor

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// Settings are the command line flags of the supervisor.
type Settings struct {
	ServerCAFile    string
	ServerCAKeyFile string
	ClientCAFile    string
	ClientCAKeyFile string
	TokenFile       string
	ClusterCIDR     string
	ServiceCIDR     string
	ClusterDomain   string
	ClusterDNS      string
	Advertise       string
	Dial            string
}

// AddFlags registers the flags on set.
func (s *Settings) AddFlags(set *pflag.FlagSet) {
	set.StringVar(&s.ServerCAFile, "k3s-server-ca-file", "", "PEM bundle of the server CA; /cacerts answers these bytes.")
	set.StringVar(&s.ServerCAKeyFile, "k3s-server-ca-key-file", "", "Key of the bundle's first certificate.")
	set.StringVar(&s.ClientCAFile, "k3s-client-ca-cert-file", "", "PEM bundle of the client CA.")
	set.StringVar(&s.ClientCAKeyFile, "k3s-client-ca-key-file", "", "Key of the bundle's first certificate.")
	set.StringVar(&s.TokenFile, "k3s-token-file", "", "File with the server token, short or K10 form.")
	set.StringVar(&s.ClusterCIDR, "k3s-cluster-cidr", "10.42.0.0/16", "The pods' range, told to agents.")
	set.StringVar(&s.ServiceCIDR, "k3s-service-cidr", "10.43.0.0/16", "The services' range, told to agents.")
	set.StringVar(&s.ClusterDomain, "k3s-cluster-domain", "cluster.local", "The DNS domain, told to agents.")
	set.StringVar(&s.ClusterDNS, "k3s-cluster-dns", "10.43.0.10", "The DNS service's address, told to agents.")
	set.StringVar(&s.Advertise, "k3s-advertise", "", "host:port of this API server, told to agents.")
	set.StringVar(&s.Dial, "k3s-dial", "", "FROM=TO, two IPv4 ranges of one size: kubelets in FROM are dialled at the same offset in TO.")
}

// authority signs leaf certificates with the first certificate of a bundle.
type authority struct {
	raw   []byte
	chain []*x509.Certificate
	key   crypto.Signer
}

func loadAuthority(certFile, keyFile string) (authority, error) {
	raw, err := os.ReadFile(certFile)
	if err != nil {
		return authority{}, err
	}
	chain, err := certutil.ParseCertsPEM(raw)
	if err != nil {
		return authority{}, fmt.Errorf("%s: %w", certFile, err)
	}
	private, err := keyutil.PrivateKeyFromFile(keyFile)
	if err != nil {
		return authority{}, err
	}
	key, ok := private.(crypto.Signer)
	if !ok {
		return authority{}, fmt.Errorf("%s: the key cannot sign", keyFile)
	}
	ours, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return authority{}, fmt.Errorf("%s: %w", keyFile, err)
	}
	if !bytes.Equal(ours, chain[0].RawSubjectPublicKeyInfo) {
		return authority{}, fmt.Errorf("%s is not the key of %s's first certificate", keyFile, certFile)
	}
	return authority{raw: raw, chain: chain, key: key}, nil
}

// loadPassword reads a token file and returns the password inside:
// all of it in the short form, what follows the user name in K10<hash>::<user>:<password>.
func loadPassword(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(raw))
	if strings.HasPrefix(token, "K10") {
		_, credentials, _ := strings.Cut(token, "::")
		_, token, _ = strings.Cut(credentials, ":")
	}
	if token == "" {
		return "", errors.New(file + ": no token inside")
	}
	return token, nil
}
