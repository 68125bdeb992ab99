package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

// offers reads what is for sale.
func (w *walk) offers() {
	locations := all(w.Location.All(w.ctx))
	expect(len(locations) >= 6, "%d locations", len(locations))
	w.location = got(w.Location.GetByName(w.ctx, "fsn1"))
	expect(w.location.NetworkZone == hcloud.NetworkZoneEUCentral, "%v", w.location)
	serverType := got(w.ServerType.Get(w.ctx, "cx23"))
	expect(serverType.Architecture == hcloud.ArchitectureX86 && len(serverType.Pricings) > 0, "%v", serverType)
	for _, location := range serverType.Locations {
		expect(location.Location.Name != "", "%v", location)
	}
	expect(got(w.ServerType.GetByID(w.ctx, serverType.ID)).Name == "cx23", "ids and names differ")
	expect(len(all(w.LoadBalancerType.All(w.ctx))) >= 3, "load balancer types")
	balancer := got(w.LoadBalancerType.GetByName(w.ctx, "lb11"))
	expect(balancer.MaxServices == 5 && balancer.MaxTargets == 25, "%v", balancer)
	isos := all(w.ISO.All(w.ctx))
	expect(len(isos) > 0, "no ISO images")
	expect(got(w.ISO.Get(w.ctx, isos[0].Name)).ID == isos[0].ID, "ids and names differ")
	arm := got(w.Image.GetForArchitecture(w.ctx, "ubuntu-24.04", hcloud.ArchitectureARM))
	expect(arm.Architecture == hcloud.ArchitectureARM && arm.Type == hcloud.ImageTypeSystem, "%v", arm)
	prices := got(w.Pricing.Get(w.ctx))
	expect(prices.Currency == "EUR" && len(prices.ServerTypes) > 0 && len(prices.LoadBalancerTypes) > 0, "%v", prices)
	expect(len(prices.PrimaryIPs) == 2 && prices.Volume.PerGBMonthly.Net != "", "%v", prices.PrimaryIPs)
	expect(got(w.Location.GetByName(w.ctx, "nowhere")) == nil, "a location that is not there")
	//nolint:staticcheck // removed from the API, not from the library
	_, _, err := w.Datacenter.List(w.ctx, hcloud.DatacenterListOpts{})
	refused(err, hcloud.ErrorDeprecatedAPIEndpoint)
}

func publicKey() string {
	key, _, err := ed25519.GenerateKey(rand.Reader)
	expect(err == nil, "%v", err)
	blob := []byte{}
	for _, part := range [][]byte{[]byte("ssh-ed25519"), key} {
		blob = binary.BigEndian.AppendUint32(blob, uint32(len(part)))
		blob = append(blob, part...)
	}
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString(blob) + " walk"
}

func (w *walk) sshKey(name string) *hcloud.SSHKey {
	return got(w.SSHKey.Create(w.ctx, hcloud.SSHKeyCreateOpts{Name: name, PublicKey: publicKey(), Labels: labels("a", "b")}))
}

func (w *walk) sshKeys() {
	key := w.sshKey("key")
	expect(got(w.SSHKey.GetByFingerprint(w.ctx, key.Fingerprint)).ID == key.ID, "not found by its fingerprint")
	renamed := got(w.SSHKey.Update(w.ctx, key, hcloud.SSHKeyUpdateOpts{Name: "other", Labels: labels()}))
	expect(renamed.Name == "other" && len(renamed.Labels) == 0, "%v", renamed)
	_, _, err := w.SSHKey.Create(w.ctx, hcloud.SSHKeyCreateOpts{Name: "third", PublicKey: key.PublicKey})
	refused(err, hcloud.ErrorCodeUniquenessError)
	gone(w.SSHKey.Delete(w.ctx, key))
	expect(got(w.SSHKey.GetByID(w.ctx, key.ID)) == nil, "a key outlived its deletion")
}

func (w *walk) group(name string) *hcloud.PlacementGroup {
	made := got(w.PlacementGroup.Create(w.ctx, hcloud.PlacementGroupCreateOpts{Name: name, Type: hcloud.PlacementGroupTypeSpread}))
	if made.Action != nil {
		w.wait(made.Action)
	}
	return made.PlacementGroup
}

func (w *walk) placementGroups() {
	group := w.group("group")
	changed := got(w.PlacementGroup.Update(w.ctx, group, hcloud.PlacementGroupUpdateOpts{Name: "g", Labels: labels("a", "b")}))
	expect(changed.Name == "g" && changed.Labels["a"] == "b" && len(changed.Servers) == 0, "%v", changed)
	gone(w.PlacementGroup.Delete(w.ctx, group))
}

// selfSigned returns a certificate and its key.
func selfSigned() (string, string) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	expect(err == nil, "%v", err)
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "example.com"},
		DNSNames:     []string{"example.com"},
		NotBefore:    now,
		NotAfter:     now.Add(24 * time.Hour),
	}
	body, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	expect(err == nil, "%v", err)
	key, err := x509.MarshalPKCS8PrivateKey(private)
	expect(err == nil, "%v", err)
	return text("CERTIFICATE", body), text("PRIVATE KEY", key)
}

func text(kind string, body []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: body}))
}

func (w *walk) uploaded(name string) *hcloud.Certificate {
	body, key := selfSigned()
	return got(w.Certificate.Create(w.ctx, hcloud.CertificateCreateOpts{
		Name: name, Type: hcloud.CertificateTypeUploaded, Certificate: body, PrivateKey: key,
	}))
}

func (w *walk) certificates() {
	uploaded := w.uploaded("uploaded")
	expect(uploaded.Fingerprint != "" && uploaded.DomainNames[0] == "example.com", "%v", uploaded)
	managed := got(w.Certificate.CreateCertificate(w.ctx, hcloud.CertificateCreateOpts{
		Name: "managed", Type: hcloud.CertificateTypeManaged, DomainNames: []string{"example.com", "www.example.com"},
	}))
	w.wait(managed.Action)
	issued := got(w.Certificate.GetByName(w.ctx, "managed"))
	expect(issued.Status.Issuance == hcloud.CertificateStatusTypeCompleted && issued.Certificate != "", "%v", issued.Status)
	changed := got(w.Certificate.Update(w.ctx, issued, hcloud.CertificateUpdateOpts{Name: "m", Labels: labels("a", "b")}))
	expect(changed.Name == "m" && changed.Labels["a"] == "b", "%v", changed)
	gone(w.Certificate.Delete(w.ctx, issued))
	gone(w.Certificate.Delete(w.ctx, uploaded))
}

// errors meets what the library makes of refusals.
func (w *walk) errors() {
	_, _, err := w.Network.Create(w.ctx, hcloud.NetworkCreateOpts{Name: "bad", IPRange: cidr("8.8.0.0/16")})
	refused(err, hcloud.ErrorCodeInvalidInput)
	details, ok := err.(hcloud.Error).Details.(hcloud.ErrorDetailsInvalidInput)
	expect(ok && details.Fields[0].Name == "ip_range" && len(details.Fields[0].Messages) > 0, "%v", err)
	_, err = w.Network.Delete(w.ctx, &hcloud.Network{ID: 1})
	refused(err, hcloud.ErrorCodeNotFound)
	for _, token := range []string{"short", ""} {
		_, _, err = w.client(token).Server.List(w.ctx, hcloud.ServerListOpts{})
		refused(err, hcloud.ErrorCodeUnauthorized)
	}
	response := response(w.Server.List(w.ctx, hcloud.ServerListOpts{}))
	rate := response.Meta.Ratelimit
	expect(rate.Limit > 0 && rate.Remaining > 0 && rate.Remaining <= rate.Limit && rate.Reset.After(time.Now().Add(-time.Minute)), "%v", rate)
	expect(response.Header.Get("X-Correlation-Id") != "", "no correlation id")
	for _, code := range []hcloud.ErrorCode{"conflict", "rate_limit_exceeded", "bad_gateway", "timeout"} {
		w.fails(code, 2)
		expect(len(all(w.Location.All(w.ctx))) > 0, "%s was not repeated", code)
	}
	for _, code := range []hcloud.ErrorCode{"locked", "maintenance", "unavailable", "server_error", "robot_unavailable"} {
		w.fails(code, 1)
		_, _, err = w.Location.List(w.ctx, hcloud.LocationListOpts{})
		refused(err, code)
	}
	if token := os.Getenv("HCLOUD_READ_TOKEN"); token != "" {
		reader := w.client(token)
		got(reader.Network.GetByName(w.ctx, "none"))
		_, _, err = reader.Network.Create(w.ctx, hcloud.NetworkCreateOpts{Name: "n", IPRange: cidr("10.0.0.0/16")})
		// The library of 2026-10 knows one word only, the reference of 2026-07 the other.
		expect(hcloud.IsError(err, hcloud.ErrorCodeForbidden, "token_readonly"), "a reader wrote: %v", err)
		expect(err.(hcloud.Error).Response().StatusCode == http.StatusForbidden, "%v", err)
	}
}

// fails lets the lab answer the next requests for locations with an error.
func (w *walk) fails(code hcloud.ErrorCode, times int) {
	url := strings.TrimSuffix(os.Getenv("HCLOUD_ENDPOINT"), "/v1") + "/_lab/faults"
	fault := fmt.Sprintf(`{"match": {"path": "^/locations"}, "times": %d, "effect": {"error": {"code": %q}}}`, times, code)
	answer, err := http.Post(url, "application/json", strings.NewReader(fault))
	expect(err == nil && answer.StatusCode == http.StatusOK, "the fault was not taken: %v", err)
	expect(answer.Body.Close() == nil, "no end")
}

func response[T any](_ T, response *hcloud.Response, err error) *hcloud.Response {
	expect(err == nil, "%v", err)
	return response
}
