package main

import (
	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

func (w *walk) floatingIPs() {
	server := w.server("floats", hcloud.ServerCreateOpts{})
	made := got(w.FloatingIP.Create(w.ctx, hcloud.FloatingIPCreateOpts{
		Type: hcloud.FloatingIPTypeIPv4, Server: server, Name: hcloud.Ptr("fip"), Description: hcloud.Ptr("d"), Labels: labels("a", "b"),
	}))
	if made.Action != nil {
		w.wait(made.Action)
	}
	ip := got(w.FloatingIP.GetByName(w.ctx, "fip"))
	expect(ip.Server.ID == server.ID && ip.HomeLocation.Name == "fsn1" && ip.IP != nil, "%v", ip)
	expect(len(got(w.Server.GetByID(w.ctx, server.ID)).PublicNet.FloatingIPs) == 1, "the server does not know its floating IP")
	w.do(w.FloatingIP.Unassign(w.ctx, ip))
	w.do(w.FloatingIP.Assign(w.ctx, ip, server))
	name := "f.example.com"
	w.do(w.RDNS.ChangeDNSPtr(w.ctx, ip, ip.IP, &name))
	w.do(w.FloatingIP.ChangeProtection(w.ctx, ip, hcloud.FloatingIPChangeProtectionOpts{Delete: hcloud.Ptr(false)}))
	changed := got(w.FloatingIP.Update(w.ctx, ip, hcloud.FloatingIPUpdateOpts{Name: "f", Description: "e", Labels: labels()}))
	expect(changed.DNSPtr[ip.IP.String()] == name && changed.Name == "f" && changed.Description == "e", "%v", changed)
	_, err := w.FloatingIP.Delete(w.ctx, ip)
	refused(err, "must_be_unassigned")
	w.do(w.FloatingIP.Unassign(w.ctx, ip))
	gone(w.FloatingIP.Delete(w.ctx, ip))
	six := got(w.FloatingIP.Create(w.ctx, hcloud.FloatingIPCreateOpts{Type: hcloud.FloatingIPTypeIPv6, HomeLocation: w.location})).FloatingIP
	expect(six.Network != nil && six.Server == nil, "%v", six)
	gone(w.FloatingIP.Delete(w.ctx, six))
	w.remove(server)
}

func (w *walk) primaryIP(name string, kind hcloud.PrimaryIPType) *hcloud.PrimaryIP {
	made := got(w.PrimaryIP.Create(w.ctx, hcloud.PrimaryIPCreateOpts{
		Name: name, Type: kind, Location: w.location.Name, AssigneeType: "server", AutoDelete: hcloud.Ptr(false), Labels: labels("a", "b"),
	}))
	if made.Action != nil {
		w.wait(made.Action)
	}
	return made.PrimaryIP
}

func (w *walk) primaryIPs() {
	four, six := w.primaryIP("four", hcloud.PrimaryIPTypeIPv4), w.primaryIP("six", hcloud.PrimaryIPTypeIPv6)
	expect(four.AssigneeID == 0 && four.Location.Name == "fsn1" && six.Network != nil, "%v", four)
	server := w.server("kept", hcloud.ServerCreateOpts{
		PublicNet: &hcloud.ServerCreatePublicNet{EnableIPv4: true, IPv4: four, EnableIPv6: true, IPv6: six},
	})
	expect(server.PublicNet.IPv4.ID == four.ID && server.PublicNet.IPv6.ID == six.ID, "%v", server.PublicNet)
	_, _, err := w.PrimaryIP.Unassign(w.ctx, four.ID)
	refused(err, hcloud.ErrorCodeServerNotStopped)
	w.do(w.Server.Poweroff(w.ctx, server))
	w.do(w.PrimaryIP.Unassign(w.ctx, four.ID))
	w.do(w.PrimaryIP.Assign(w.ctx, hcloud.PrimaryIPAssignOpts{ID: four.ID, AssigneeID: server.ID, AssigneeType: "server"}))
	expect(got(w.PrimaryIP.GetByIP(w.ctx, four.IP.String())).AssigneeID == server.ID, "not found by its address")
	name := "p.example.com"
	w.do(w.RDNS.ChangeDNSPtr(w.ctx, four, four.IP, &name))
	w.do(w.PrimaryIP.ChangeProtection(w.ctx, hcloud.PrimaryIPChangeProtectionOpts{ID: four.ID, Delete: false}))
	empty := labels()
	changed := got(w.PrimaryIP.Update(w.ctx, four, hcloud.PrimaryIPUpdateOpts{Name: "4", Labels: &empty, AutoDelete: hcloud.Ptr(true)}))
	expect(changed.DNSPtr[four.IP.String()] == name && changed.AutoDelete && changed.Name == "4", "%v", changed)
	w.remove(server)
	expect(got(w.PrimaryIP.GetByID(w.ctx, four.ID)) == nil, "an address outlived its server")
	expect(got(w.PrimaryIP.GetByID(w.ctx, six.ID)).AssigneeID == 0, "an address is still assigned")
	gone(w.PrimaryIP.Delete(w.ctx, six))
}

// nothingLeft looks for what the walk left behind.
func (w *walk) nothingLeft() {
	left := len(all(w.Server.All(w.ctx))) + len(all(w.Network.All(w.ctx))) + len(all(w.PrimaryIP.All(w.ctx)))
	left += len(all(w.FloatingIP.All(w.ctx))) + len(all(w.Volume.All(w.ctx))) + len(all(w.Firewall.All(w.ctx)))
	left += len(all(w.LoadBalancer.All(w.ctx))) + len(all(w.Certificate.All(w.ctx))) + len(all(w.SSHKey.All(w.ctx)))
	left += len(all(w.PlacementGroup.All(w.ctx)))
	expect(left == 0, "%d resources are left", left)
}
