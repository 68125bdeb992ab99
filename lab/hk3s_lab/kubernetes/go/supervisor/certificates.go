package supervisor

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/kubernetes/pkg/auth/nodeidentifier"
)

const (
	leafLife    = 365 * 24 * time.Hour // as k3s
	maxCSRBytes = 64 << 10
)

var nodeIdentity = nodeidentifier.NewDefaultNodeIdentifier().NodeIdentity

// withNode checks that the caller may speak for the node that its headers name.
// The first caller with a new name claims it, by its password; a kubelet's own client
// certificate must be of that name and its Node must still exist.
func (h *Handler) withNode(sign func(http.ResponseWriter, *http.Request, string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, password := strings.ToLower(r.Header.Get("k3s-Node-Name")), r.Header.Get("k3s-Node-Password")
		if name == "" || password == "" {
			sendError(w, http.StatusBadRequest, "node name or node password not set")
			return
		}
		if !h.passwords.Ready() {
			sendError(w, http.StatusServiceUnavailable, "the API server is not ready")
			return
		}
		if own, isNode := nodeIdentity(userFrom(r.Context())); isNode {
			if own != name {
				sendError(w, http.StatusBadRequest, "header node name does not match auth node name")
				return
			}
			if _, err := h.client.CoreV1().Nodes().Get(r.Context(), name, metav1.GetOptions{}); err != nil {
				sendError(w, http.StatusUnauthorized, "unable to verify node identity")
				return
			}
		}
		switch err := h.passwords.Ensure(r.Context(), name, password); {
		case errors.Is(err, errWrongPassword):
			sendError(w, http.StatusForbidden, "Node password rejected: duplicate hostname, or not the password that "+name+" first joined with")
		case apierrors.IsInvalid(err):
			sendError(w, http.StatusBadRequest, "invalid node name")
		case err != nil:
			sendError(w, http.StatusInternalServerError, "the node password could not be stored")
		default:
			sign(w, r, name)
		}
	}
}

func (h *Handler) clientKubelet(w http.ResponseWriter, r *http.Request, node string) {
	h.clients.signAndSend(w, r, x509.Certificate{
		Subject:     pkix.Name{CommonName: "system:node:" + node, Organization: []string{user.NodesGroup}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (h *Handler) servingKubelet(w http.ResponseWriter, r *http.Request, node string) {
	addresses := []net.IP{net.IPv4(127, 0, 0, 1)}
	for text := range strings.SplitSeq(r.Header.Get("k3s-Node-IP"), ",") {
		if text == "" {
			continue
		}
		address := net.ParseIP(strings.TrimSpace(text))
		if address == nil {
			sendError(w, http.StatusBadRequest, "invalid node IP address")
			return
		}
		addresses = append(addresses, address)
	}
	h.servers.signAndSend(w, r, x509.Certificate{
		Subject:     pkix.Name{CommonName: node},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{node, "localhost"},
		IPAddresses: addresses,
	})
}

// signAndSend signs the request's key with the names and usages of leaf; whatever names the
// signing request itself asks for are ignored. The answer is the leaf and the CA's bundle.
func (a authority) signAndSend(w http.ResponseWriter, r *http.Request, leaf x509.Certificate) {
	request, err := readCSR(r.Body)
	if err != nil {
		sendError(w, http.StatusBadRequest, err.Error())
		return
	}
	signed, err := a.sign(request, leaf)
	if err != nil {
		sendError(w, http.StatusInternalServerError, "the certificate could not be signed")
		return
	}
	body, err := certutil.EncodeCertificates(append([]*x509.Certificate{signed}, a.chain...)...)
	if err != nil {
		sendError(w, http.StatusInternalServerError, "the certificate could not be encoded")
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	send(w, http.StatusOK, body)
}

func (a authority) sign(request *x509.CertificateRequest, leaf x509.Certificate) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	leaf.SerialNumber = serial
	leaf.NotBefore = a.chain[0].NotBefore // tolerates nodes whose clock is behind
	leaf.NotAfter = time.Now().Add(leafLife).UTC()
	if end := a.chain[0].NotAfter; leaf.NotAfter.After(end) {
		leaf.NotAfter = end
	}
	leaf.KeyUsage = x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature
	leaf.BasicConstraintsValid = true
	raw, err := x509.CreateCertificate(rand.Reader, &leaf, a.chain[0], request.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(raw)
}

// readCSR accepts PEM and the bare DER that k3s agents send.
func readCSR(body io.Reader) (*x509.CertificateRequest, error) {
	raw, err := io.ReadAll(io.LimitReader(body, maxCSRBytes))
	if err != nil {
		return nil, fmt.Errorf("the signing request could not be read: %w", err)
	}
	if block, _ := pem.Decode(raw); block != nil {
		raw = block.Bytes
	}
	request, err := x509.ParseCertificateRequest(raw)
	if err != nil {
		return nil, fmt.Errorf("not a certificate signing request: %w", err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the signing request's signature is wrong: %w", err)
	}
	return request, nil
}
