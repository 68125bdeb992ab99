"""The machines' scripts, run by the system's own sh against fake tools."""

import dataclasses
import hashlib
import json
import pathlib
import subprocess
import sys

import pytest
import yaml

from cloudinit.examples import bastion, in_family, master, worker
from cloudinit.machine import Machine
from hk3s_cloudinit.node import BastionParams, K3sParams, MasterParams, WorkerParams
from hk3s_data.k3s import JOURNAL_ERRORS, OsFamily

SCRIPTS = pathlib.Path(__file__).parents[2] / "cloudinit/hk3s_cloudinit/scripts"
PRIVATE_MAC = "86:00:00:2a:4b:6c"

# `ip` on a worker whose network is up: an address and the default route.
IP_UP = """
case "$*" in
*"address show"*) echo "2: enp7s0 inet 10.4.1.5/32 scope global dynamic enp7s0" ;;
*"show default dev"*) echo "default via 10.4.0.1 proto static onlink " ;;
*"show default"*) echo "default via 172.31.1.1 dev eth0 proto dhcp " ;;
esac
"""


def machine(
    root: pathlib.Path,
    params: BastionParams | MasterParams | WorkerParams,
    family: OsFamily = OsFamily.UBUNTU,
) -> Machine:
    made = Machine(root, in_family(params, family))
    made.nic("eth0", "96:00:00:11:22:33")
    made.nic("enp7s0", PRIVATE_MAC)
    made.nic("veth12", "86:00:aa:bb:cc:dd")
    made.tool("ip", IP_UP)
    return made


def status(made: Machine) -> dict[str, object]:
    document: dict[str, object] = json.loads(made.read("/run/hk3s/status.json"))
    return document


def test_shellcheck_finds_nothing() -> None:
    shellcheck = pathlib.Path(sys.executable).with_name("shellcheck")

    subprocess.run([shellcheck, *sorted(SCRIPTS.glob("*.sh"))], check=True, cwd=SCRIPTS.parents[2])


def test_setup_starts_the_work_and_does_not_wait_for_it(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, worker())

    assert made.run("setup", "boot") == 0

    assert made.calls == [
        "systemctl daemon-reload",
        "systemctl enable hk3s-guard.service hk3s-node.service",
        "systemctl start --no-block hk3s-guard.service hk3s-node.service",
    ]


def test_boot_refuses_an_unreadable_node_json(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, worker())
    assert made.run("boot", "boot") == 0

    made.write("/etc/hk3s/node.json", "{")

    assert made.run("boot", "boot") == 1
    assert status(made)["error"] == "bad-user-data"


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


def test_a_bastion_forwards_only_after_its_rules_are_loaded(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, bastion())
    made.write("/run/hk3s/nic", "enp7s0\n")

    assert made.run("nat", "nat") == 0, made.output

    tools = [call.split()[0] for call in made.calls]
    assert tools.index("nft") < tools.index("sysctl")
    rules = made.read("/var/lib/hk3s/bastion.nft")
    assert 'ip saddr 10.4.0.0/16 oifname "eth0" masquerade' in rules
    assert "@NIC@" not in rules
    assert "@WAN@" not in rules


def test_a_bastion_whose_rules_fail_does_not_forward(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, bastion())
    made.write("/run/hk3s/nic", "enp7s0\n")
    made.tool("nft", "exit 1")

    assert made.run("nat", "nat") == 1

    assert status(made)["error"] == "nat-failed"
    assert not any(call.startswith("sysctl") for call in made.calls)
    assert not (tmp_path / "var/lib/hk3s/bastion.nft").exists()


def test_ssh_wants_what_cloud_init_put_there(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, worker())
    assert made.run("ssh", "ssh") == 1
    assert status(made)["error"] == "ssh-failed"

    for path in (
        "/etc/ssh/ssh_host_ed25519_key",
        "/etc/ssh/ssh_host_ed25519_key-cert.pub",
        "/root/.ssh/authorized_keys",
    ):
        made.write(path, "something\n")

    assert made.run("ssh", "ssh") == 0, made.output


def k3s_source(root: pathlib.Path, content: bytes, sums: str) -> str:
    """Make a directory that serves as the artifacts' host, by file: URLs."""
    folder = root / "artifacts" / "v1.36.5%2Bk3s1"
    for directory in (folder, root / "artifacts" / "v1.36.5+k3s1"):
        directory.mkdir(parents=True)
        (directory / "k3s").write_bytes(content)
        (directory / "k3s-arm64").write_bytes(content)
        (directory / "sha256sum-amd64.txt").write_text(sums)
        (directory / "sha256sum-arm64.txt").write_text(sums)
    return f"file://{root}/artifacts"


def downloading(root: pathlib.Path, sums: str, sha256: str = "") -> Machine:
    url = k3s_source(root, b"#!/bin/sh\n", sums)
    k3s = K3sParams(
        version="v1.36.5+k3s1", artifacts_url=url, sha256={"amd64": sha256, "arm64": sha256}
    )
    made = machine(root, dataclasses.replace(worker(), k3s=k3s))
    (root / "usr/local/bin").mkdir(parents=True)
    return made


GOOD = hashlib.sha256(b"#!/bin/sh\n").hexdigest()


@pytest.mark.parametrize(
    ("sums", "pinned"),
    [
        pytest.param(f"{GOOD}  k3s\n{GOOD}  k3s-arm64\n", "", id="the release's own sums"),
        pytest.param("", GOOD, id="pinned"),
    ],
)
def test_k3s_is_installed_when_its_checksum_matches(
    tmp_path: pathlib.Path, sums: str, pinned: str
) -> None:
    made = downloading(tmp_path, sums, pinned)

    assert made.run("k3s-install", "install") == 0, made.output

    binary = tmp_path / "usr/local/bin/k3s"
    assert binary.stat().st_mode & 0o777 == 0o755
    (tmp_path / "artifacts").rename(tmp_path / "offline")
    assert made.run("k3s-install", "install") == 0, "an installed binary needs no network"


@pytest.mark.parametrize(
    ("sums", "pinned", "error"),
    [
        pytest.param("", "0" * 64, "checksum-mismatch", id="pinned"),
        pytest.param(f"{'0' * 64}  k3s\n", "", "checksum-mismatch", id="the release's own"),
        pytest.param(f"{GOOD}  other\n", "", "checksum-mismatch", id="not listed"),
    ],
)
def test_a_binary_with_another_checksum_is_not_installed(
    tmp_path: pathlib.Path, sums: str, pinned: str, error: str
) -> None:
    made = downloading(tmp_path, sums, pinned)

    assert made.run("k3s-install", "install") == 1

    assert status(made)["error"] == error
    assert list((tmp_path / "usr/local/bin").iterdir()) == []


def test_a_missing_artifact_is_a_failed_download(tmp_path: pathlib.Path) -> None:
    made = downloading(tmp_path, "", GOOD)
    (tmp_path / "artifacts").rename(tmp_path / "offline")

    assert made.run("k3s-install", "install") == 1

    assert status(made)["error"] == "download-failed"


def test_what_only_the_machine_knows_is_written_before_k3s_starts(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, worker())
    made.write("/run/hk3s/nic", "enp7s0\n")
    made.write("/run/hk3s/address", "10.4.1.5\n")
    made.write("/sys/class/dmi/id/product_serial", "4711\n")
    made.tool("k3s", "exit 0")

    assert made.run("k3s-join", "join") == 0, made.output

    written = yaml.safe_load(made.read("/etc/rancher/k3s/config.yaml.d/50-hk3s-network.yaml"))
    assert written == {
        "node-ip": "10.4.1.5",
        "flannel-iface": "enp7s0",
        "kubelet-arg+": ["provider-id=hcloud://4711"],
    }
    assert "systemctl start --no-block k3s-agent.service" in made.calls


SEEN = {
    "ca-hash-mismatch": "token CA hash does not match the Cluster CA certificate hash: a != b",
    "name-taken": "Node password rejected, duplicate hostname or contents of '/etc/rancher'",
    "token-rejected": "https://127.0.0.1:6444/v1-k3s/serving-kubelet.crt: 401 Unauthorized",
    "label-forbidden": "unknown 'kubernetes.io' labels specified with --node-labels: [x]",
    "bad-config": 'level=fatal msg="flag provided but not defined: -embedded-registry"',
    "api-unreachable": "dial tcp 10.4.0.3:6443: connect: no route to host",
}


def joining(root: pathlib.Path, journal: str) -> Machine:
    made = machine(root, worker())
    made.write("/run/hk3s/nic", "enp7s0\n")
    made.write("/run/hk3s/address", "10.4.1.5\n")
    made.tool("k3s", "exit 1")
    made.write("/journal", f"starting\n{journal}\n")
    made.tool("journalctl", f"cat {root}/journal")
    return made


def test_every_known_error_has_an_example() -> None:
    assert set(SEEN) == {error.code for error in JOURNAL_ERRORS}


@pytest.mark.parametrize("code", SEEN)
def test_why_k3s_does_not_join_is_found_in_the_journal(tmp_path: pathlib.Path, code: str) -> None:
    made = joining(tmp_path, SEEN[code])

    assert made.run("k3s-join", "join", attempt=2) == 1

    said = status(made)
    assert (said["step"], said["state"], said["error"]) == ("join", "failed", code)
    assert said["message"] == next(row.message for row in JOURNAL_ERRORS if row.code == code)


def test_a_k3s_that_keeps_restarting_is_reported_as_such(tmp_path: pathlib.Path) -> None:
    made = joining(tmp_path, "panic")
    made.tool("systemctl", f'case "$1" in show) grep -c "systemctl show" {tmp_path}/calls ;; esac')

    assert made.run("k3s-join", "join") == 1

    assert status(made)["error"] == "k3s-failed"


def test_a_slow_k3s_is_waited_for(tmp_path: pathlib.Path) -> None:
    made = joining(tmp_path, "still pulling")
    made.tool("k3s", f'[ "$(grep -c ^k3s {tmp_path}/calls)" -gt 40 ]')

    assert made.run("k3s-join", "join") == 0, made.output


def test_node_goes_through_the_steps_and_retries_a_failed_one(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, bastion())
    for step in ("network", "ssh"):
        made.write(f"/usr/local/lib/hk3s/{step}", "#!/bin/sh\n", 0o755)
    tries = tmp_path / "tries"
    made.write(
        "/usr/local/lib/hk3s/nat",
        f"#!/bin/sh\necho $HK3S_ATTEMPT >>{tries}\n[ $HK3S_ATTEMPT -ge 3 ]\n",
        0o755,
    )

    assert made.run("node", "") == 0, made.output

    assert tries.read_text().split() == ["1", "2", "3"]
    assert [call for call in made.calls if call.startswith("sleep")] == ["sleep 2", "sleep 4"]
    said = status(made)
    assert (said["step"], said["state"], said["error"]) == ("ready", "done", None)
    assert list(said["steps"]) == ["boot", "network", "ssh", "nat", "ready"]  # type: ignore[call-overload]
    assert yaml.safe_load(made.read("/etc/hk3s/node.json"))["name"] == said["name"]


def test_a_master_waits_for_its_own_api(tmp_path: pathlib.Path) -> None:
    made = machine(tmp_path, master())
    made.write("/run/hk3s/nic", "enp7s0\n")
    made.write("/run/hk3s/address", "10.4.0.3\n")
    made.tool("k3s", "exit 0")

    assert made.run("k3s-join", "join") == 0, made.output

    assert "k3s kubectl get --raw /readyz" in made.calls
    assert "systemctl start --no-block k3s.service" in made.calls
