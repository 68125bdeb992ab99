// Hcloud-walk leads every kind of resource of a Hetzner Cloud through its whole life with the
// official Go library, as controllers do that are built on it, and stops at the first surprise.
//
// HCLOUD_ENDPOINT and HCLOUD_TOKEN say where; the project must be empty and have stock.
// HCLOUD_READ_TOKEN, if set, is a token of the same project that may only read.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

const pollInterval = 20 * time.Millisecond

// surprise is what a walk panics with: the text says what was expected and what came.
type surprise struct{ text string }

// walk is a client of an empty project, and what the parts of the walk share.
type walk struct {
	*hcloud.Client
	ctx      context.Context
	requests atomic.Int64
	location *hcloud.Location
}

// RoundTrip counts a request.
func (w *walk) RoundTrip(request *http.Request) (*http.Response, error) {
	w.requests.Add(1)
	return http.DefaultTransport.RoundTrip(request)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	w := &walk{ctx: ctx}
	w.Client = w.client(os.Getenv("HCLOUD_TOKEN"))
	lives := []struct {
		name string
		live func()
	}{
		{"offers", w.offers},
		{"ssh_keys", w.sshKeys},
		{"placement_groups", w.placementGroups},
		{"certificates", w.certificates},
		{"networks", w.networks},
		{"servers", w.servers},
		{"server_options", w.serverOptions},
		{"private_servers", w.privateServers},
		{"images", w.images},
		{"firewalls", w.firewalls},
		{"volumes", w.volumes},
		{"floating_ips", w.floatingIPs},
		{"primary_ips", w.primaryIPs},
		{"load_balancers", w.loadBalancers},
		{"lists", w.lists},
		{"errors", w.errors},
		{"nothing_left", w.nothingLeft},
	}
	for _, part := range lives {
		if problem := try(part.live); problem != "" {
			fmt.Fprintf(os.Stderr, "%s: %s\n", part.name, problem)
			os.Exit(1)
		}
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"parts": len(lives), "requests": w.requests.Load()})
}

func (w *walk) client(token string) *hcloud.Client {
	return hcloud.NewClient(
		hcloud.WithEndpoint(os.Getenv("HCLOUD_ENDPOINT")),
		hcloud.WithToken(token),
		hcloud.WithApplication("hcloud-walk", "1"),
		hcloud.WithPollOpts(hcloud.PollOpts{BackoffFunc: hcloud.ConstantBackoff(pollInterval)}),
		hcloud.WithRetryOpts(hcloud.RetryOpts{BackoffFunc: hcloud.ConstantBackoff(pollInterval), MaxRetries: 100}),
		hcloud.WithHTTPClient(&http.Client{Transport: w}),
	)
}

func try(live func()) (problem string) {
	defer func() {
		if caught, ok := recover().(surprise); ok {
			problem = caught.text
		}
	}()
	live()
	return ""
}

// expect panics with a surprise unless what is said holds.
func expect(holds bool, format string, values ...any) {
	if !holds {
		panic(surprise{fmt.Sprintf(format, values...)})
	}
}

// got returns the answer of a call that must succeed.
func got[T any](value T, response *hcloud.Response, err error) T {
	if err != nil && response != nil && response.Request != nil {
		err = fmt.Errorf("%s %s: %w", response.Request.Method, response.Request.URL.Path, err)
	}
	expect(err == nil, "%v", err)
	return value
}

// all is got for calls that page.
func all[T any](values []T, err error) []T {
	expect(err == nil, "%v", err)
	return values
}

// wait is for what a call started; everything must succeed.
func (w *walk) wait(actions ...*hcloud.Action) {
	for _, action := range actions {
		expect(action != nil && action.ID != 0, "an action is missing: %v", actions)
	}
	err := w.Action.WaitFor(w.ctx, actions...)
	expect(err == nil, "%v: %v", actions[0].Command, err)
}

// do waits for the action of a call that must succeed.
func (w *walk) do(action *hcloud.Action, response *hcloud.Response, err error) {
	w.wait(got(action, response, err))
}

// refused expects an error of this code; some codes stand for several spellings.
func refused(err error, code hcloud.ErrorCode) {
	expect(hcloud.IsError(err, code), "expected %s, not %v", code, err)
}

func gone(response *hcloud.Response, err error) {
	expect(err == nil, "%v", err)
	expect(response.StatusCode == http.StatusNoContent, "a deletion answered %s", response.Status)
}

func cidr(text string) *net.IPNet {
	_, network, err := net.ParseCIDR(text)
	expect(err == nil, "%v", err)
	return network
}

func labels(pairs ...string) map[string]string {
	made := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		made[pairs[i]] = pairs[i+1]
	}
	return made
}
