package supervisor

import (
	"encoding/json"
	"net/http"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Handler serves the supervisor's paths.
type Handler struct {
	settings  *Settings
	servers   authority
	clients   authority
	client    kubernetes.Interface
	passwords *Passwords
	mux       *http.ServeMux
}

// New reads the files that settings name; apiserver is kube-apiserver's own authenticator.
func New(settings *Settings, apiserver authenticator.Request, client kubernetes.Interface, passwords *Passwords) (*Handler, error) {
	servers, err := loadAuthority(settings.ServerCAFile, settings.ServerCAKeyFile)
	if err != nil {
		return nil, err
	}
	clients, err := loadAuthority(settings.ClientCAFile, settings.ClientCAKeyFile)
	if err != nil {
		return nil, err
	}
	access, err := newAccess(settings, apiserver)
	if err != nil {
		return nil, err
	}
	h := &Handler{settings: settings, servers: servers, clients: clients, client: client, passwords: passwords, mux: http.NewServeMux()}
	h.mux.HandleFunc("GET /cacerts", h.text(servers.raw))
	h.mux.HandleFunc("GET /ping", h.text([]byte("pong")))
	for pattern, handler := range map[string]http.HandlerFunc{
		"POST /v1-k3s/client-kubelet.crt":  h.withNode(h.clientKubelet),
		"POST /v1-k3s/serving-kubelet.crt": h.withNode(h.servingKubelet),
		"GET /v1-k3s/client-ca.crt":        h.text(clients.raw),
		"GET /v1-k3s/server-ca.crt":        h.text(servers.raw),
		"GET /v1-k3s/apiservers":           h.object([]string{settings.Advertise}),
		"GET /v1-k3s/config":               h.object(h.agentConfig()),
		"GET /v1-k3s/readyz":               h.readyz,
	} {
		h.mux.HandleFunc(pattern, access.only(joinGroups, handler))
	}
	return h, nil
}

// InFrontOf answers the supervisor's paths and leaves all others to next.
func (h *Handler) InFrontOf(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := h.mux.Handler(r); pattern == "" {
			next.ServeHTTP(w, r)
			return
		}
		h.mux.ServeHTTP(w, r)
	})
}

func (h *Handler) agentConfig() map[string]string {
	return map[string]string{
		"clusterCIDR":   h.settings.ClusterCIDR,
		"serviceCIDR":   h.settings.ServiceCIDR,
		"clusterDomain": h.settings.ClusterDomain,
		"clusterDNS":    h.settings.ClusterDNS,
	}
}

func (h *Handler) text(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		send(w, http.StatusOK, body)
	}
}

func (h *Handler) object(value any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { sendJSON(w, http.StatusOK, value) }
}

func (h *Handler) readyz(w http.ResponseWriter, r *http.Request) {
	if !h.passwords.Ready() {
		sendError(w, http.StatusServiceUnavailable, "the API server is not ready")
		return
	}
	h.text([]byte("ok"))(w, r)
}

func sendError(w http.ResponseWriter, code int, message string) {
	sendJSON(w, code, metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure,
		Message:  message,
		Code:     int32(code),
	})
}

func sendJSON(w http.ResponseWriter, code int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		code, body = http.StatusInternalServerError, []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	send(w, code, body)
}

func send(w http.ResponseWriter, code int, body []byte) {
	w.WriteHeader(code)
	if _, err := w.Write(body); err != nil {
		klog.V(2).InfoS("The caller left before its answer", "err", err)
	}
}
