package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/exp/actionutil"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/metadata"
)

// server creates one and waits until it runs; opts need neither name, type, image nor location.
func (w *walk) server(name string, opts hcloud.ServerCreateOpts) *hcloud.Server {
	opts.Name, opts.Location = name, w.location
	opts.ServerType, opts.Image = &hcloud.ServerType{Name: "cx23"}, &hcloud.Image{Name: "ubuntu-24.04"}
	made := got(w.Server.Create(w.ctx, opts))
	expect(made.Server.Status == hcloud.ServerStatusInitializing, "a new server is %s", made.Server.Status)
	expect((made.RootPassword == "") == (len(opts.SSHKeys) > 0), "a password only without keys")
	w.wait(actionutil.AppendNext(made.Action, made.NextActions)...)
	return got(w.Server.GetByID(w.ctx, made.Server.ID))
}

func (w *walk) remove(servers ...*hcloud.Server) {
	for _, server := range servers {
		w.wait(got(w.Server.DeleteWithResult(w.ctx, server)).Action)
		expect(got(w.Server.GetByID(w.ctx, server.ID)) == nil, "a server outlived its deletion")
	}
}

func (w *walk) is(server *hcloud.Server, status hcloud.ServerStatus) {
	seen := got(w.Server.GetByID(w.ctx, server.ID)).Status
	expect(seen == status, "the server is %s, not %s", seen, status)
}

// servers uses all that a creation can say, and the power switch.
func (w *walk) servers() {
	key, group, network := w.sshKey("login"), w.group("spread"), w.network("net")
	volume := got(w.Volume.Create(w.ctx, hcloud.VolumeCreateOpts{Name: "early", Size: 10, Location: w.location}))
	w.wait(actionutil.AppendNext(volume.Action, volume.NextActions)...)
	firewall := got(w.Firewall.Create(w.ctx, hcloud.FirewallCreateOpts{Name: "open"})).Firewall
	yes := true
	server := w.server("full", hcloud.ServerCreateOpts{
		SSHKeys: []*hcloud.SSHKey{key}, UserData: "#cloud-config\n", StartAfterCreate: &yes, Labels: labels("role", "web"),
		Automount: &yes, Volumes: []*hcloud.Volume{volume.Volume}, Networks: []*hcloud.Network{network},
		Firewalls: []*hcloud.ServerCreateFirewall{{Firewall: *firewall}}, PlacementGroup: group,
		PublicNet: &hcloud.ServerCreatePublicNet{EnableIPv4: true, EnableIPv6: true},
	})
	expect(server.Status == hcloud.ServerStatusRunning && !server.Locked, "%s", server.Status)
	expect(server.Location.Name == "fsn1" && server.Image.Name == "ubuntu-24.04" && server.PrimaryDiskSize == 40, "%v", server)
	expect(server.PublicNet.IPv4.IP != nil && server.PublicNet.IPv4.ID != 0 && server.PublicNet.IPv6.Network != nil, "%v", server.PublicNet)
	expect(len(server.PublicNet.Firewalls) == 1 && server.PublicNet.Firewalls[0].Status == hcloud.FirewallStatusApplied, "the firewall")
	expect(len(server.Volumes) == 1 && server.PlacementGroup.ID == group.ID, "%v", server.Volumes)
	expect(server.PrivateNet[0].Network.ID == network.ID && server.PrivateNet[0].IP != nil && server.PrivateNet[0].MACAddress != "", "%v", server.PrivateNet)
	expect(len(got(w.PlacementGroup.GetByID(w.ctx, group.ID)).Servers) == 1, "the group has no member")
	w.readsItsMetadata(server)
	_, _, err := w.Server.Create(w.ctx, hcloud.ServerCreateOpts{Name: "full", ServerType: server.ServerType, Image: server.Image})
	refused(err, hcloud.ErrorCodeUniquenessError)

	w.do(w.Server.Reboot(w.ctx, server))
	w.do(w.Server.Reset(w.ctx, server))
	w.is(server, hcloud.ServerStatusRunning)
	w.do(w.Server.Shutdown(w.ctx, server))
	for got(w.Server.GetByID(w.ctx, server.ID)).Status != hcloud.ServerStatusOff {
		time.Sleep(pollInterval)
	}
	w.do(w.Server.Poweron(w.ctx, server))
	w.do(w.Server.Poweroff(w.ctx, server))
	w.is(server, hcloud.ServerStatusOff)
	w.do(w.Server.RemoveFromPlacementGroup(w.ctx, server))
	w.do(w.Server.AddToPlacementGroup(w.ctx, server, group))
	w.do(w.Server.ChangeType(w.ctx, server, hcloud.ServerChangeTypeOpts{ServerType: &hcloud.ServerType{Name: "cx33"}, UpgradeDisk: true}))
	expect(got(w.Server.GetByID(w.ctx, server.ID)).PrimaryDiskSize == 80, "the disk did not grow")
	changed := got(w.Server.Update(w.ctx, server, hcloud.ServerUpdateOpts{Name: "renamed", Labels: labels()}))
	expect(changed.Name == "renamed" && len(changed.Labels) == 0, "%v", changed)
	expect(len(all(w.Server.Action.AllFor(w.ctx, server, hcloud.ActionListOpts{Sort: []string{"id:desc"}}))) >= 8, "actions")
	w.remove(server)
	gone(w.Network.Delete(w.ctx, network))
	gone(w.PlacementGroup.Delete(w.ctx, group))
	gone(w.SSHKey.Delete(w.ctx, key))
	gone(w.Firewall.Delete(w.ctx, firewall))
	expect(got(w.Volume.GetByID(w.ctx, volume.Volume.ID)).Server == nil, "the volume is still attached")
	gone(w.Volume.Delete(w.ctx, volume.Volume))
}

// asking is how the lab is told which server asks for its metadata.
type asking struct{ server *hcloud.Server }

// RoundTrip adds the header that says so.
func (a asking) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("X-Hk3s-Server", fmt.Sprint(a.server.ID))
	return http.DefaultTransport.RoundTrip(request)
}

// readsItsMetadata asks as controllers on the server would.
func (w *walk) readsItsMetadata(server *hcloud.Server) {
	base := strings.TrimSuffix(os.Getenv("HCLOUD_ENDPOINT"), "/v1") + "/hetzner/v1/metadata"
	client := metadata.NewClient(metadata.WithEndpoint(base), metadata.WithHTTPClient(&http.Client{Transport: asking{server}}))
	expect(client.IsHcloudServerWithContext(w.ctx), "the metadata does not answer")
	number, err := client.InstanceIDWithContext(w.ctx)
	expect(err == nil && number == server.ID, "%d %v", number, err)
	name, err := client.HostnameWithContext(w.ctx)
	expect(err == nil && name == server.Name, "%s %v", name, err)
	address, err := client.PublicIPv4WithContext(w.ctx)
	expect(err == nil && address.Equal(server.PublicNet.IPv4.IP), "%s %v", address, err)
	region, err := client.RegionWithContext(w.ctx)
	expect(err == nil && region == "eu-central", "%s %v", region, err)
	zone, err := client.AvailabilityZoneWithContext(w.ctx)
	expect(err == nil && strings.HasPrefix(zone, "fsn1-dc"), "%s %v", zone, err)
	networks, err := client.PrivateNetworksWithContext(w.ctx)
	expect(err == nil && strings.Contains(networks, server.PrivateNet[0].MACAddress), "%s %v", networks, err)
}

// serverOptions uses the actions that neither start nor stop.
func (w *walk) serverOptions() {
	server := w.server("options", hcloud.ServerCreateOpts{})
	rescue := got(w.Server.EnableRescue(w.ctx, server, hcloud.ServerEnableRescueOpts{Type: hcloud.ServerRescueTypeLinux64}))
	w.wait(rescue.Action)
	expect(rescue.RootPassword != "" && got(w.Server.GetByID(w.ctx, server.ID)).RescueEnabled, "no rescue")
	w.do(w.Server.DisableRescue(w.ctx, server))
	password := got(w.Server.ResetPassword(w.ctx, server))
	w.wait(password.Action)
	expect(password.RootPassword != "", "no password")
	iso := all(w.ISO.All(w.ctx))[0]
	w.do(w.Server.AttachISO(w.ctx, server, iso))
	expect(got(w.Server.GetByID(w.ctx, server.ID)).ISO.ID == iso.ID, "no ISO image")
	w.do(w.Server.DetachISO(w.ctx, server))
	name := "a.example.com"
	w.do(w.RDNS.ChangeDNSPtr(w.ctx, server, server.PublicNet.IPv4.IP, &name))
	w.do(w.Server.ChangeDNSPtr(w.ctx, server, server.PublicNet.IPv4.IP.String(), nil))
	yes, no := true, false
	w.do(w.Server.ChangeProtection(w.ctx, server, hcloud.ServerChangeProtectionOpts{Delete: &yes, Rebuild: &yes}))
	_, _, err := w.Server.DeleteWithResult(w.ctx, server)
	refused(err, hcloud.ErrorCodeProtected)
	w.do(w.Server.ChangeProtection(w.ctx, server, hcloud.ServerChangeProtectionOpts{Delete: &no, Rebuild: &no}))
	console := got(w.Server.RequestConsole(w.ctx, server))
	w.wait(console.Action)
	expect(console.WSSURL != "" && console.Password != "", "no console")
	rebuilt := got(w.Server.RebuildWithResult(w.ctx, server, hcloud.ServerRebuildOpts{Image: &hcloud.Image{Name: "debian-13"}}))
	w.wait(rebuilt.Action)
	expect(got(w.Server.GetByID(w.ctx, server.ID)).Image.Name == "debian-13", "not rebuilt")
	metrics := got(w.Server.GetMetrics(w.ctx, server, hcloud.ServerGetMetricsOpts{
		Types: []hcloud.ServerMetricType{hcloud.ServerMetricCPU, hcloud.ServerMetricDisk, hcloud.ServerMetricNetwork},
		Start: time.Now().Add(-time.Hour), End: time.Now(), Step: 60,
	}))
	expect(len(metrics.TimeSeries) >= 9, "%v", metrics.TimeSeries)
	w.remove(server)
}

// privateServers are made as autoscalers do: off, attached with a range, then powered on.
func (w *walk) privateServers() {
	network, off := w.network("private"), false
	server := w.server("private", hcloud.ServerCreateOpts{
		PublicNet: &hcloud.ServerCreatePublicNet{}, StartAfterCreate: &off,
	})
	expect(server.Status == hcloud.ServerStatusOff && server.PublicNet.IPv4.IsUnspecified() && server.PublicNet.IPv6.IsUnspecified(), "%v", server.PublicNet)
	w.do(w.Server.AttachToNetwork(w.ctx, server, hcloud.ServerAttachToNetworkOpts{Network: network, IPRange: cidr("10.4.0.0/24")}))
	w.do(w.Server.Poweron(w.ctx, server))
	_, _, err := w.Server.AttachToNetwork(w.ctx, server, hcloud.ServerAttachToNetworkOpts{Network: network})
	refused(err, hcloud.ErrorCodeServerAlreadyAttached)
	aliases := []net.IP{net.ParseIP("10.4.0.200"), net.ParseIP("10.4.0.201")}
	w.do(w.Server.ChangeAliasIPs(w.ctx, server, hcloud.ServerChangeAliasIPsOpts{Network: network, AliasIPs: aliases}))
	server = got(w.Server.GetByID(w.ctx, server.ID))
	expect(len(server.PrivateNet[0].Aliases) == 2 && server.Status == hcloud.ServerStatusRunning, "%v", server.PrivateNet)
	members := all(w.Network.AllMembers(w.ctx, network))
	expect(len(members) == 1 && len(members[0].AliasIPs) == 2 && members[0].Subnet.String() == "10.4.0.0/24", "%v", members)
	firewall := got(w.Firewall.Create(w.ctx, hcloud.FirewallCreateOpts{Name: "useless"})).Firewall
	target := hcloud.FirewallResource{Type: hcloud.FirewallResourceTypeServer, Server: &hcloud.FirewallResourceServer{ID: server.ID}}
	_, _, err = w.Firewall.ApplyResources(w.ctx, firewall, []hcloud.FirewallResource{target})
	refused(err, hcloud.ErrorCodePrivateNetOnlyServer)
	gone(w.Firewall.Delete(w.ctx, firewall))
	w.do(w.Server.DetachFromNetwork(w.ctx, server, hcloud.ServerDetachFromNetworkOpts{Network: network}))
	w.remove(server)
	gone(w.Network.Delete(w.ctx, network))
}

// lists pages through more servers than one page holds, in any order and by label.
func (w *walk) lists() {
	const many = 55
	off := false
	var actions []*hcloud.Action
	var servers []*hcloud.Server
	for number := range many {
		made := got(w.Server.Create(w.ctx, hcloud.ServerCreateOpts{
			Name: fmt.Sprintf("s%02d", number), ServerType: &hcloud.ServerType{Name: "cx23"}, Image: &hcloud.Image{Name: "ubuntu-24.04"},
			Location: w.location, PublicNet: &hcloud.ServerCreatePublicNet{}, StartAfterCreate: &off,
			Labels: labels("half", fmt.Sprint(number%2), "hcloud/node-group", "pool"),
		}))
		actions, servers = append(actions, made.Action), append(servers, made.Server)
	}
	w.wait(actions...)
	expect(len(all(w.Server.All(w.ctx))) == many, "not all servers")
	page, response, err := w.Server.List(w.ctx, hcloud.ServerListOpts{ListOpts: hcloud.ListOpts{Page: 2, PerPage: 50}, Sort: []string{"name:desc"}})
	expect(err == nil && len(page) == 5 && page[4].Name == "s00", "%v %v", page, err)
	meta := response.Meta.Pagination
	expect(meta.Page == 2 && meta.PreviousPage == 1 && meta.NextPage == 0 && meta.LastPage == 2 && meta.TotalEntries == many, "%v", meta)
	half := all(w.Server.AllWithOpts(w.ctx, hcloud.ServerListOpts{ListOpts: hcloud.ListOpts{LabelSelector: "half=1,hcloud/node-group in (pool,pond),!x"}}))
	expect(len(half) == many/2, "%d by label", len(half))
	off1 := all(w.Server.AllWithOpts(w.ctx, hcloud.ServerListOpts{Status: []hcloud.ServerStatus{hcloud.ServerStatusOff, hcloud.ServerStatusRunning}}))
	expect(len(off1) == many, "%d by status", len(off1))
	expect(got(w.Server.GetByName(w.ctx, "s07")).ID == servers[7].ID, "not found by name")
	actions = nil
	for _, server := range servers {
		actions = append(actions, got(w.Server.DeleteWithResult(w.ctx, server)).Action)
	}
	w.wait(actions...)
}
