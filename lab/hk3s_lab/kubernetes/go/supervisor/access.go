package supervisor

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
)

const (
	agentGroup  = "k3s:agent"
	serverGroup = "k3s:server"
)

// joinGroups may ask for what an agent needs. BootstrapDefaultGroup is the group of every
// bootstrap token, whatever its auth-extra-groups say (k3s pkg/server/handlers/router.go).
var joinGroups = []string{agentGroup, user.NodesGroup, bootstrapapi.BootstrapDefaultGroup}

var errNotAuthorized = errors.New("not authorized")

// access authenticates by the cluster's tokens first (HTTP Basic), then as kube-apiserver would.
type access struct {
	passwords map[string]string
	groups    map[string]string
	apiserver authenticator.Request
}

func newAccess(settings *Settings, apiserver authenticator.Request) (access, error) {
	password, err := loadPassword(settings.TokenFile)
	if err != nil {
		return access{}, err
	}
	return access{
		// Without an agent token of its own, the server token is the agents' too.
		passwords: map[string]string{"node": password, "server": password},
		groups:    map[string]string{"node": agentGroup, "server": serverGroup},
		apiserver: apiserver,
	}, nil
}

func (a access) identify(r *http.Request) (user.Info, error) {
	if name, password, ok := r.BasicAuth(); ok {
		want, known := a.passwords[name]
		if !known || subtle.ConstantTimeCompare([]byte(want), []byte(password)) != 1 {
			return nil, errNotAuthorized
		}
		return &user.DefaultInfo{Name: name, UID: name, Groups: []string{a.groups[name]}}, nil
	}
	answer, ok, err := a.apiserver.AuthenticateRequest(r)
	if err != nil {
		return nil, errNotAuthorized
	}
	if !ok {
		return nil, nil
	}
	return answer.User, nil
}

// only lets callers of one of the groups through: 401 for credentials that are wrong,
// 403 for none at all or for a group that is not enough.
func (a access) only(groups []string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := a.identify(r)
		if err != nil {
			sendError(w, http.StatusUnauthorized, err.Error())
			return
		}
		isMember := func(group string) bool { return slices.Contains(groups, group) }
		if who == nil || !slices.ContainsFunc(who.GetGroups(), isMember) {
			sendError(w, http.StatusForbidden, "forbidden")
			return
		}
		next(w, r.WithContext(request.WithUser(r.Context(), who)))
	}
}

func userFrom(ctx context.Context) user.Info {
	who, _ := request.UserFrom(ctx)
	return who
}
