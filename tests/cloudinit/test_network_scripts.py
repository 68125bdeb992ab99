"""What the scripts make of a machine's network, in each family of systems."""

import pathlib
import subprocess

import pytest

from cloudinit.booted import IP_UP, PRIVATE_MAC, machine, status
from cloudinit.examples import worker
from hk3s_data.k3s import OsFamily


def test_networkd_gets_its_file_with_the_exact_mac(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, worker())

    assert made.run("network", "network") == 0, made.output

    written = made.read("/etc/systemd/network/05-hk3s.network")
    assert f"MACAddress={PRIVATE_MAC}\n" in written
    assert "Gateway=10.4.0.1\nGatewayOnLink=yes\n" in written
    assert "@" not in written
    assert "systemctl restart systemd-networkd" in made.calls
    for verb in ("stop", "mask"):
        assert f"systemctl {verb} hc-net-scan.service hc-net-ifup@enp7s0.service" in made.calls
    assert made.read("/run/hk3s/nic") == "enp7s0\n"
    assert made.read("/run/hk3s/address") == "10.4.1.5\n"
    assert made.read("/etc/resolv.conf") == "nameserver 185.12.64.1\nnameserver 185.12.64.2\n"


def test_a_network_that_is_set_up_is_left_alone(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, worker())
    made.run("network", "network")
    before = made.calls.count("systemctl restart systemd-networkd")

    assert made.run("network", "network") == 0
    assert made.calls.count("systemctl restart systemd-networkd") == before

    assert made.run("network", "network", attempt=2) == 0
    assert made.calls.count("systemctl restart systemd-networkd") == before + 1


IFUP = "systemd-run --scope --quiet ifup enp7s0"
"""In a scope: systemd ends what is left in a unit, and a DHCP client must not end with ours."""


def test_ifupdown_keeps_the_stanza_it_has_and_gets_the_hooks(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, worker(), OsFamily.DEBIAN)
    made.write("/etc/network/interfaces.d/50-cloud-init", "auto enp7s0\niface enp7s0 inet dhcp\n")
    made.write("/etc/dhcp/dhclient.conf", "timeout 300;\n")

    assert made.run("network", "network") == 0, made.output

    hook = made.read("/etc/dhcp/dhclient-exit-hooks.d/zz-hk3s")
    assert "ip -4 route replace 0.0.0.0/0 via 10.4.0.1 dev enp7s0 onlink" in hook
    assert not (tmp_path / "etc/network/interfaces.d/60-hk3s").exists()
    assert made.read("/etc/dhcp/dhclient.conf") == "timeout 300;\nretry 5;\n"
    assert made.calls.index("ifdown --force enp7s0") < made.calls.index(IFUP)


def test_the_lease_hook_sets_the_route_at_a_renewal(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, worker(), OsFamily.DEBIAN)
    made.write("/etc/network/interfaces", "iface enp7s0 inet dhcp\n")
    made.run("network", "network")
    hook = tmp_path / "etc/dhcpcd.exit-hook"
    environment = {"PATH": f"{made.tools}:/usr/bin:/bin", "interface": "enp7s0", "reason": "RENEW"}
    (tmp_path / "calls").unlink()

    subprocess.run(["/bin/sh", "-eu", hook], env=environment, check=False, capture_output=True)

    assert made.calls == [
        "ip -4 route replace 0.0.0.0/0 via 10.4.0.1 dev enp7s0 onlink",
        "ip -4 route replace 169.254.169.254/32 via 10.4.0.1 dev enp7s0 onlink",
    ]


def test_networkmanager_gets_a_private_keyfile(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, worker(), OsFamily.REDHAT)
    made.tool("nmcli", "")

    assert made.run("network", "network") == 0, made.output

    path = tmp_path / "etc/NetworkManager/system-connections/hk3s.nmconnection"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "route1=0.0.0.0/0,10.4.0.1\nroute1_options=onlink=true\n" in path.read_text()
    assert "dns=185.12.64.1;185.12.64.2\n" in path.read_text()
    assert "nmcli connection up hk3s ifname enp7s0" in made.calls


def test_a_machine_without_a_private_nic_says_so(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, worker())
    made.nic("enp7s0", "96:00:00:11:22:44")

    assert made.run("network", "network", attempt=3) == 1

    said = status(made)
    assert (said["step"], said["state"], said["attempt"]) == ("network", "failed", 3)
    assert said["error"] == "no-private-nic"


@pytest.mark.parametrize(
    ("hidden", "error"),
    [
        pytest.param("*address", "no-lease", id="no address"),
        pytest.param("*default", "no-route", id="no default route"),
    ],
)
def test_what_the_network_lacks_is_reported(
    tmp_path: pathlib.Path, hidden: str, error: str
) -> None:
    made = machine(tmp_path, worker())
    made.tool("ip", f'case "$*" in {hidden}*) exit 0 ;; esac\n{IP_UP}')

    assert made.run("network", "network") == 1

    assert status(made)["error"] == error
    answers = "systemctl restart --no-block hk3s-status.service" in made.calls
    assert answers == (error != "no-lease"), "who has an address tells what else is missing"


def test_of_two_private_nics_the_one_with_the_gateway_counts(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, worker())
    made.nic("enp8s0", "86:00:00:2a:4b:6d")
    made.tool("ip", f'case "$*" in *"route show dev enp8s0") echo "10.4.0.1 " ;; esac\n{IP_UP}')

    made.run("network", "network")

    assert made.read("/run/hk3s/nic") == "enp8s0\n"
