package main

import (
	"net"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/exp/actionutil"
)

func (w *walk) images() {
	server := w.server("source", hcloud.ServerCreateOpts{})
	description := "kept"
	made := got(w.Server.CreateImage(w.ctx, server, &hcloud.ServerCreateImageOpts{
		Type: hcloud.ImageTypeSnapshot, Description: &description, Labels: labels("a", "b"),
	}))
	w.wait(made.Action)
	image := got(w.Image.GetByID(w.ctx, made.Image.ID))
	expect(image.Status == hcloud.ImageStatusAvailable && image.CreatedFrom.ID == server.ID && image.ImageSize > 0, "%v", image)
	// As an autoscaler looks for an image that is named by a label selector.
	expect(got(w.Image.GetForArchitecture(w.ctx, "a=b", hcloud.ArchitectureX86)) == nil, "an image with the name of a selector")
	labelled := all(w.Image.AllWithOpts(w.ctx, hcloud.ImageListOpts{
		ListOpts: hcloud.ListOpts{LabelSelector: "a=b"}, Type: []hcloud.ImageType{hcloud.ImageTypeSnapshot}, Sort: []string{"created:desc"},
		Status: []hcloud.ImageStatus{hcloud.ImageStatusAvailable}, Architecture: []hcloud.Architecture{hcloud.ArchitectureX86},
	}))
	expect(len(labelled) == 1 && labelled[0].ID == image.ID, "%v", labelled)
	w.do(w.Server.EnableBackup(w.ctx, server, ""))
	expect(got(w.Server.GetByID(w.ctx, server.ID)).BackupWindow != "", "no backup window")
	backup := got(w.Server.CreateImage(w.ctx, server, &hcloud.ServerCreateImageOpts{Type: hcloud.ImageTypeBackup}))
	w.wait(backup.Action)
	bound := all(w.Image.AllWithOpts(w.ctx, hcloud.ImageListOpts{Type: []hcloud.ImageType{hcloud.ImageTypeBackup}, BoundTo: server}))
	expect(len(bound) == 1 && bound[0].BoundTo.ID == server.ID, "%v", bound)
	w.do(w.Server.DisableBackup(w.ctx, server))
	changed := got(w.Image.Update(w.ctx, image, hcloud.ImageUpdateOpts{Description: hcloud.Ptr("new"), Labels: labels()}))
	expect(changed.Description == "new" && len(changed.Labels) == 0, "%v", changed)
	w.do(w.Image.ChangeProtection(w.ctx, image, hcloud.ImageChangeProtectionOpts{Delete: hcloud.Ptr(true)}))
	_, err := w.Image.Delete(w.ctx, image)
	refused(err, hcloud.ErrorCodeProtected)
	w.do(w.Image.ChangeProtection(w.ctx, image, hcloud.ImageChangeProtectionOpts{Delete: hcloud.Ptr(false)}))
	w.do(w.Server.Rebuild(w.ctx, server, hcloud.ServerRebuildOpts{Image: image}))
	gone(w.Image.Delete(w.ctx, image))
	w.remove(server)
	left := all(w.Image.AllWithOpts(w.ctx, hcloud.ImageListOpts{Type: []hcloud.ImageType{hcloud.ImageTypeBackup, hcloud.ImageTypeSnapshot}}))
	expect(len(left) == 0, "images are left: %v", left)
}

func (w *walk) volumes() {
	server := w.server("holder", hcloud.ServerCreateOpts{})
	made := got(w.Volume.Create(w.ctx, hcloud.VolumeCreateOpts{
		Name: "data", Size: 10, Server: server, Automount: hcloud.Ptr(true), Format: hcloud.Ptr(hcloud.VolumeFormatExt4), Labels: labels("a", "b"),
	}))
	w.wait(actionutil.AppendNext(made.Action, made.NextActions)...)
	volume := got(w.Volume.GetByName(w.ctx, "data"))
	expect(volume.Server.ID == server.ID && *volume.Format == "ext4" && volume.LinuxDevice != "" && volume.Location.Name == "fsn1", "%v", volume)
	_, _, err := w.Volume.Attach(w.ctx, volume, server)
	refused(err, hcloud.ErrorCodeVolumeAlreadyAttached)
	w.do(w.Volume.Detach(w.ctx, volume))
	w.do(w.Volume.AttachWithOpts(w.ctx, volume, hcloud.VolumeAttachOpts{Server: server, Automount: hcloud.Ptr(false)}))
	w.do(w.Volume.Resize(w.ctx, volume, 20))
	w.do(w.Volume.ChangeProtection(w.ctx, volume, hcloud.VolumeChangeProtectionOpts{Delete: hcloud.Ptr(false)}))
	changed := got(w.Volume.Update(w.ctx, volume, hcloud.VolumeUpdateOpts{Name: "d", Labels: labels()}))
	expect(changed.Size == 20 && changed.Name == "d", "%v", changed)
	w.do(w.Volume.Detach(w.ctx, volume))
	gone(w.Volume.Delete(w.ctx, volume))
	w.remove(server)
}

func (w *walk) firewalls() {
	server := w.server("shielded", hcloud.ServerCreateOpts{Labels: labels("role", "web")})
	anywhere := []net.IPNet{*cidr("0.0.0.0/0"), *cidr("::/0")}
	rules := []hcloud.FirewallRule{
		{Direction: hcloud.FirewallRuleDirectionIn, Protocol: hcloud.FirewallRuleProtocolTCP, Port: hcloud.Ptr("80-85"), SourceIPs: anywhere, Description: hcloud.Ptr("web")},
		{Direction: hcloud.FirewallRuleDirectionOut, Protocol: hcloud.FirewallRuleProtocolICMP, DestinationIPs: anywhere},
	}
	target := hcloud.FirewallResource{Type: hcloud.FirewallResourceTypeServer, Server: &hcloud.FirewallResourceServer{ID: server.ID}}
	chosen := hcloud.FirewallResource{Type: hcloud.FirewallResourceTypeLabelSelector, LabelSelector: &hcloud.FirewallResourceLabelSelector{Selector: "role=web"}}
	made := got(w.Firewall.Create(w.ctx, hcloud.FirewallCreateOpts{Name: "wall", Rules: rules, ApplyTo: []hcloud.FirewallResource{target}, Labels: labels("a", "b")}))
	w.wait(made.Actions...)
	firewall := got(w.Firewall.GetByName(w.ctx, "wall"))
	expect(len(firewall.Rules) == 2 && *firewall.Rules[0].Port == "80-85" && len(firewall.AppliedTo) == 1, "%v", firewall)
	_, err := w.Firewall.Delete(w.ctx, firewall)
	refused(err, hcloud.ErrorCodeResourceInUse)
	w.wait(got(w.Firewall.ApplyResources(w.ctx, firewall, []hcloud.FirewallResource{chosen}))...)
	selected := got(w.Firewall.GetByID(w.ctx, firewall.ID)).AppliedTo
	expect(len(selected) == 2 && len(selected[1].AppliedToResources) == 1, "%v", selected)
	w.wait(got(w.Firewall.SetRules(w.ctx, firewall, hcloud.FirewallSetRulesOpts{Rules: rules[:1]}))...)
	w.wait(got(w.Firewall.SetRules(w.ctx, firewall, hcloud.FirewallSetRulesOpts{}))...)
	expect(len(got(w.Firewall.GetByID(w.ctx, firewall.ID)).Rules) == 0, "rules are left")
	w.wait(got(w.Firewall.RemoveResources(w.ctx, firewall, []hcloud.FirewallResource{target, chosen}))...)
	changed := got(w.Firewall.Update(w.ctx, firewall, hcloud.FirewallUpdateOpts{Name: "w", Labels: labels()}))
	expect(changed.Name == "w" && len(changed.AppliedTo) == 0, "%v", changed)
	gone(w.Firewall.Delete(w.ctx, firewall))
	w.remove(server)
}

func (w *walk) balancerMetrics(lb *hcloud.LoadBalancer) {
	metrics := got(w.LoadBalancer.GetMetrics(w.ctx, lb, hcloud.LoadBalancerGetMetricsOpts{
		Types: []hcloud.LoadBalancerMetricType{hcloud.LoadBalancerMetricBandwidth, hcloud.LoadBalancerMetricOpenConnections},
		Start: time.Now().Add(-time.Hour), End: time.Now(),
	}))
	expect(len(metrics.TimeSeries) == 3, "%v", metrics.TimeSeries)
}
