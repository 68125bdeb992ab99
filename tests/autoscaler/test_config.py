"""The daemon's settings: all mistakes at once, each with its line."""

from pathlib import Path

from typer.testing import CliRunner

from hk3s_autoscaler.cli import app

BROKEN = """\
cluster: demo
network: {id: 1, range: 10.4.0.0/16, masterSubnet: 10.4.0.0/24, workerSubnet: 10.4.1.0/24, dns: []}
api: {address: 10.4.0.2, caHash: short}
k3s: {version: v1.36.2+k3s1}
image: ubuntu-24.04
ssh: {keyIds: [], authorizedKeys: [ssh-ed25519 AAAA]}
limit: {maxServers: 3}
"""


def test_every_mistake_is_told_with_its_line_before_anything_starts(tmp_path: Path) -> None:
    config, secret = tmp_path / "config.yaml", tmp_path / "secret"
    config.write_text(BROKEN)
    secret.write_text("s3cret")

    result = CliRunner().invoke(
        app,
        ["run", f"--config={config}", f"--token-file={secret}", f"--ssh-host-ca-file={secret}"],
    )

    assert result.exit_code == 2
    lines = [line.split(" ", 1)[1] for line in result.stderr.splitlines() if "error HK3S" in line]
    assert [line.partition(": ")[0] + ": " + line.split(": ")[1] for line in lines] == [
        "error HK3S-E105: api.caHash",
        "error HK3S-E104: k3s.artifactsUrl",
        "error HK3S-E105: ssh.keyIds",
        "error HK3S-E103: limit",
    ]
    assert f"{config}:7:1: error HK3S-E103" in result.stderr
    assert "did you mean limits?" in result.stderr
    assert "s3cret" not in result.output
