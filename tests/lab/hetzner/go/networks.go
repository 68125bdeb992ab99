package main

import (
	"net"
	"sync"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

func (w *walk) network(name string) *hcloud.Network {
	return got(w.Network.Create(w.ctx, hcloud.NetworkCreateOpts{
		Name: name, IPRange: cidr("10.4.0.0/16"), Labels: labels("a", "b"),
		Subnets: []hcloud.NetworkSubnet{{Type: hcloud.NetworkSubnetTypeCloud, IPRange: cidr("10.4.0.0/24"), NetworkZone: hcloud.NetworkZoneEUCentral}},
	}))
}

func (w *walk) networks() {
	network := got(w.Network.Create(w.ctx, hcloud.NetworkCreateOpts{Name: "bare", IPRange: cidr("10.8.0.0/17")}))
	expect(len(network.Subnets) == 0 && len(network.Routes) == 0 && len(network.Servers) == 0, "%v", network)
	w.do(w.Network.ChangeIPRange(w.ctx, network, hcloud.NetworkChangeIPRangeOpts{IPRange: cidr("10.8.0.0/16")}))
	for _, ipRange := range []*net.IPNet{cidr("10.8.1.0/24"), nil} {
		subnet := hcloud.NetworkSubnet{Type: hcloud.NetworkSubnetTypeCloud, NetworkZone: hcloud.NetworkZoneEUCentral, IPRange: ipRange}
		w.do(w.Network.AddSubnet(w.ctx, network, hcloud.NetworkAddSubnetOpts{Subnet: subnet}))
	}
	network = got(w.Network.GetByName(w.ctx, "bare"))
	expect(len(network.Subnets) == 2 && network.Subnets[0].Gateway.String() == "10.8.0.1", "%v", network.Subnets)
	route := hcloud.NetworkRoute{Destination: cidr("0.0.0.0/0"), Gateway: net.ParseIP("10.8.1.5")}
	w.do(w.Network.AddRoute(w.ctx, network, hcloud.NetworkAddRouteOpts{Route: route}))
	expect(got(w.Network.GetByID(w.ctx, network.ID)).Routes[0].Gateway.Equal(route.Gateway), "the route differs")
	w.do(w.Network.DeleteRoute(w.ctx, network, hcloud.NetworkDeleteRouteOpts{Route: route}))
	w.do(w.Network.DeleteSubnet(w.ctx, network, hcloud.NetworkDeleteSubnetOpts{Subnet: network.Subnets[1]}))
	yes, no := true, false
	w.do(w.Network.ChangeProtection(w.ctx, network, hcloud.NetworkChangeProtectionOpts{Delete: &yes}))
	_, err := w.Network.Delete(w.ctx, network)
	refused(err, hcloud.ErrorCodeProtected)
	w.do(w.Network.ChangeProtection(w.ctx, network, hcloud.NetworkChangeProtectionOpts{Delete: &no}))
	changed := got(w.Network.Update(w.ctx, network, hcloud.NetworkUpdateOpts{Name: "n", Labels: labels("x", ""), ExposeRoutesToVSwitch: &yes}))
	expect(changed.Name == "n" && changed.ExposeRoutesToVSwitch && len(changed.Labels) == 1, "%v", changed)
	expect(len(all(w.Network.AllMembers(w.ctx, network))) == 0, "members of an empty network")
	expect(len(all(w.Network.Action.AllFor(w.ctx, network, hcloud.ActionListOpts{}))) >= 7, "actions of the network")
	gone(w.Network.Delete(w.ctx, network))
}

func (w *walk) loadBalancers() {
	network, server := w.network("balanced"), w.server("behind", hcloud.ServerCreateOpts{Labels: labels("role", "web")})
	w.do(w.Server.AttachToNetwork(w.ctx, server, hcloud.ServerAttachToNetworkOpts{Network: network, IP: net.ParseIP("10.4.0.9")}))
	certificate := w.uploaded("front")
	made := got(w.LoadBalancer.Create(w.ctx, hcloud.LoadBalancerCreateOpts{
		Name: "lb", LoadBalancerType: &hcloud.LoadBalancerType{Name: "lb11"}, Location: w.location, Labels: labels("a", "b"),
		Algorithm: &hcloud.LoadBalancerAlgorithm{Type: hcloud.LoadBalancerAlgorithmTypeRoundRobin}, Network: network,
	}))
	w.wait(made.Action)
	lb := got(w.LoadBalancer.GetByName(w.ctx, "lb"))
	expect(len(lb.PrivateNet) == 1 && lb.PublicNet.Enabled && lb.PublicNet.IPv4.IP != nil, "%v", lb)
	w.services(lb, certificate)
	yes := true
	w.do(w.LoadBalancer.AddServerTarget(w.ctx, lb, hcloud.LoadBalancerAddServerTargetOpts{Server: server, UsePrivateIP: &yes}))
	_, _, err := w.LoadBalancer.AddServerTarget(w.ctx, lb, hcloud.LoadBalancerAddServerTargetOpts{Server: server, UsePrivateIP: &yes})
	refused(err, hcloud.ErrorCodeTargetAlreadyDefined)
	w.do(w.LoadBalancer.AddLabelSelectorTarget(w.ctx, lb, hcloud.LoadBalancerAddLabelSelectorTargetOpts{Selector: "role=web", UsePrivateIP: &yes}))
	lb = got(w.LoadBalancer.GetByID(w.ctx, lb.ID))
	expect(len(lb.Targets) == 2 && len(lb.Targets[0].HealthStatus) > 0, "%v", lb.Targets)
	members := all(w.Network.AllMembersWithOpts(w.ctx, network, hcloud.NetworkMemberListOpts{Type: []hcloud.NetworkMemberType{hcloud.NetworkMemberTypeLoadBalancer}}))
	expect(len(members) == 1 && members[0].ID == lb.ID && members[0].Status == hcloud.NetworkMemberStatusOK, "%v", members)
	w.do(w.LoadBalancer.DisablePublicInterface(w.ctx, lb))
	w.do(w.LoadBalancer.EnablePublicInterface(w.ctx, lb))
	w.do(w.LoadBalancer.RemoveServerTarget(w.ctx, lb, server))
	w.do(w.LoadBalancer.RemoveLabelSelectorTarget(w.ctx, lb, "role=web"))
	w.do(w.LoadBalancer.DetachFromNetwork(w.ctx, lb, hcloud.LoadBalancerDetachFromNetworkOpts{Network: network}))
	w.do(w.LoadBalancer.AttachToNetwork(w.ctx, lb, hcloud.LoadBalancerAttachToNetworkOpts{Network: network, IP: net.ParseIP("10.4.0.100")}))
	w.do(w.LoadBalancer.ChangeAlgorithm(w.ctx, lb, hcloud.LoadBalancerChangeAlgorithmOpts{Type: hcloud.LoadBalancerAlgorithmTypeLeastConnections}))
	w.do(w.LoadBalancer.ChangeType(w.ctx, lb, hcloud.LoadBalancerChangeTypeOpts{LoadBalancerType: &hcloud.LoadBalancerType{Name: "lb21"}}))
	name := "lb.example.com"
	w.do(w.RDNS.ChangeDNSPtr(w.ctx, lb, lb.PublicNet.IPv4.IP, &name))
	w.do(w.LoadBalancer.ChangeProtection(w.ctx, lb, hcloud.LoadBalancerChangeProtectionOpts{Delete: new(bool)}))
	changed := got(w.LoadBalancer.Update(w.ctx, lb, hcloud.LoadBalancerUpdateOpts{Name: "lb2", Labels: labels()}))
	expect(changed.PublicNet.IPv4.DNSPtr == name && changed.PrivateNet[0].IP.String() == "10.4.0.100", "%v", changed.PublicNet)
	w.balancerMetrics(lb)
	w.wait(got(w.LoadBalancer.DeleteWithResult(w.ctx, lb)).Action)
	expect(got(w.LoadBalancer.GetByID(w.ctx, lb.ID)) == nil, "a load balancer outlived its deletion")
	gone(w.Certificate.Delete(w.ctx, certificate))
	w.remove(server)
	gone(w.Network.Delete(w.ctx, network))
}

// services adds some as the official controller does, with no more than it must say, and changes them.
func (w *walk) services(lb *hcloud.LoadBalancer, certificate *hcloud.Certificate) {
	w.do(w.LoadBalancer.AddService(w.ctx, lb, hcloud.LoadBalancerAddServiceOpts{
		Protocol: hcloud.LoadBalancerServiceProtocolTCP, ListenPort: hcloud.Ptr(80), DestinationPort: hcloud.Ptr(30080),
		HealthCheck: &hcloud.LoadBalancerAddServiceOptsHealthCheck{Protocol: hcloud.LoadBalancerServiceProtocolTCP, Port: hcloud.Ptr(30080)},
	}))
	w.do(w.LoadBalancer.AddService(w.ctx, lb, hcloud.LoadBalancerAddServiceOpts{
		Protocol: hcloud.LoadBalancerServiceProtocolHTTPS,
		HTTP:     &hcloud.LoadBalancerAddServiceOptsHTTP{Certificates: []*hcloud.Certificate{certificate}},
	}))
	w.do(w.LoadBalancer.UpdateService(w.ctx, lb, 443, hcloud.LoadBalancerUpdateServiceOpts{
		HTTP: &hcloud.LoadBalancerUpdateServiceOptsHTTP{StickySessions: hcloud.Ptr(true), CookieName: hcloud.Ptr("c")},
		HealthCheck: &hcloud.LoadBalancerUpdateServiceOptsHealthCheck{
			Protocol: hcloud.LoadBalancerServiceProtocolHTTP, Port: hcloud.Ptr(80), Retries: hcloud.Ptr(2),
			HTTP: &hcloud.LoadBalancerUpdateServiceOptsHealthCheckHTTP{Path: hcloud.Ptr("/healthz")},
		},
	}))
	w.do(w.LoadBalancer.UpdateService(w.ctx, lb, 80, hcloud.LoadBalancerUpdateServiceOpts{Proxyprotocol: hcloud.Ptr(true)}))
	services := got(w.LoadBalancer.GetByID(w.ctx, lb.ID)).Services
	expect(len(services) == 2 && services[0].Proxyprotocol && services[0].DestinationPort == 30080, "%v", services)
	expect(services[1].ListenPort == 443 && services[1].HTTP.CookieName == "c" && services[1].HealthCheck.HTTP.Path == "/healthz", "%v", services[1])
	expect(services[1].DestinationPort == 80, "https leads to %d", services[1].DestinationPort)
	used := got(w.Certificate.GetByID(w.ctx, certificate.ID)).UsedBy
	expect(len(used) == 1 && used[0].ID == lb.ID, "%v", used)
	_, _, err := w.LoadBalancer.AddService(w.ctx, lb, hcloud.LoadBalancerAddServiceOpts{
		Protocol: hcloud.LoadBalancerServiceProtocolTCP, ListenPort: hcloud.Ptr(80), DestinationPort: hcloud.Ptr(1),
	})
	refused(err, hcloud.ErrorCodeSourcePortAlreadyUsed)
	w.do(w.LoadBalancer.DeleteService(w.ctx, lb, 80))
	w.together(lb)
}

// together adds services at once, as Terraform does: the library repeats what came too early.
func (w *walk) together(lb *hcloud.LoadBalancer) {
	var group sync.WaitGroup
	problems := make([]string, 4)
	for number := range problems {
		group.Go(func() {
			problems[number] = try(func() {
				w.do(w.LoadBalancer.AddService(w.ctx, lb, hcloud.LoadBalancerAddServiceOpts{
					Protocol: hcloud.LoadBalancerServiceProtocolTCP, ListenPort: hcloud.Ptr(8000 + number), DestinationPort: hcloud.Ptr(80),
				}))
			})
		})
	}
	group.Wait()
	for _, problem := range problems {
		expect(problem == "", "%s", problem)
	}
}
