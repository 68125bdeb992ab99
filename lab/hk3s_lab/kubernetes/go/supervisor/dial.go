package supervisor

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/server/egressselector"
	"k8s.io/kubernetes/pkg/controlplane"
)

// MapDials makes connections to kubelets go to the loopback range that stands for the machines'
// private network, as k3s sends them through its tunnel: objects keep the private addresses.
func (s *Settings) MapDials(config *controlplane.Config) error {
	if s.Dial == "" {
		return nil
	}
	from, to, err := parseRanges(s.Dial)
	if err != nil {
		return err
	}
	dialer := &net.Dialer{}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, translate(from, to, address))
	}
	config.Extra.KubeletClientConfig.Lookup = func(egressselector.NetworkContext) (utilnet.DialFunc, error) {
		return dial, nil
	}
	return nil
}

func parseRanges(text string) (from, to netip.Prefix, err error) {
	left, right, _ := strings.Cut(text, "=")
	if from, err = netip.ParsePrefix(left); err != nil {
		return from, to, err
	}
	if to, err = netip.ParsePrefix(right); err != nil {
		return from, to, err
	}
	if !from.Addr().Is4() || !to.Addr().Is4() || from.Bits() != to.Bits() {
		return from, to, fmt.Errorf("%q is not two IPv4 ranges of one size", text)
	}
	return from.Masked(), to.Masked(), nil
}

// translate moves an address in from to the same offset in to and leaves any other alone.
func translate(from, to netip.Prefix, address string) string {
	target, err := netip.ParseAddrPort(address)
	if err != nil || !from.Contains(target.Addr()) {
		return address
	}
	raw, first, base := target.Addr().As4(), from.Addr().As4(), to.Addr().As4()
	offset := binary.BigEndian.Uint32(raw[:]) - binary.BigEndian.Uint32(first[:])
	var mapped [4]byte
	binary.BigEndian.PutUint32(mapped[:], binary.BigEndian.Uint32(base[:])+offset)
	return netip.AddrPortFrom(netip.AddrFrom4(mapped), target.Port()).String()
}
