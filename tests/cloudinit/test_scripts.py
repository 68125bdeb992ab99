"""The machines' scripts, run by the system's own sh against fake tools."""

import pathlib
import subprocess
import sys

import yaml

from cloudinit.booted import machine, status
from cloudinit.examples import bastion, master, worker

SCRIPTS = pathlib.Path(__file__).parents[2] / "cloudinit/hk3s_cloudinit/scripts"


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
