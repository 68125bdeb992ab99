"""Check the alert rules: promtool's own checks and tests, and that nothing was left untested.

`--write` renews deploy/monitoring/prometheusrule.yaml from deploy/alerts/rules.yaml.
Exits 1 with one line per problem.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from hk3s_autoscaler.daemon.metrics import Metrics

HERE = Path(__file__).parent
RULES = HERE / "rules.yaml"
TESTS = HERE / "tests.yaml"
PROMETHEUS_RULE = HERE.parent / "monitoring" / "prometheusrule.yaml"
METRIC = re.compile(r"\bhk3s_autoscaler_[a-z_]+\b")
RUNBOOKS = "https://github.com/hk3s/hk3s/blob/main/docs/alerts.md#"


def prometheus_rule(groups: list[dict[str, Any]]) -> str:
    """Render the rules as the Prometheus operator's custom resource, runbooks added."""
    for group in groups:
        for rule in group["rules"]:
            rule["annotations"]["runbook_url"] = RUNBOOKS + rule["alert"].lower()
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "hk3s-autoscaler",
            "namespace": "hk3s-system",
            "labels": {"app.kubernetes.io/name": "hk3s-autoscaler"},
        },
        "spec": {"groups": groups},
    }
    header = "# Made from deploy/alerts/rules.yaml by deploy/alerts/check.py --write.\n"
    return header + yaml.safe_dump(resource, sort_keys=False, width=1000)


def metric_names() -> set[str]:
    """Name every series that the daemon may export, suffixes included."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    return {
        family.name + suffix
        for family in Metrics("check").registry.collect()
        for suffix in suffixes.get(family.type, ("",))
    }


def problems(rules: dict[str, Any], tests: dict[str, Any], runbooks: str) -> list[str]:
    """Say what is untested, unexplained or asks for a metric that the daemon does not have."""
    found = []
    firing: set[str] = set()
    silent: set[str] = set()
    for case in tests["tests"]:
        for assertion in case["alert_rule_test"]:
            (firing if assertion.get("exp_alerts") else silent).add(assertion["alertname"])
    known = metric_names()
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        name = rule["alert"]
        if name not in firing:
            found.append(f"{name}: no test in which it fires")
        if name not in silent:
            found.append(f"{name}: no test in which it is silent")
        if f"## {name}\n" not in runbooks:
            found.append(f"{name}: no section in docs/alerts.md")
        found += [
            f"{name}: the daemon has no metric {metric}"
            for metric in sorted(set(METRIC.findall(rule["expr"])) - known)
        ]
    return found


def main() -> int:
    """Run all checks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="renew the PrometheusRule")
    write = parser.parse_args().write
    promtool = shutil.which("promtool")
    if promtool is None:
        sys.stderr.write("promtool is missing: install Prometheus (Debian package `prometheus`)\n")
        return 1
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    tests = yaml.safe_load(TESTS.read_text(encoding="utf-8"))
    runbooks = (HERE.parents[1] / "docs" / "alerts.md").read_text(encoding="utf-8")
    found = problems(rules, tests, runbooks)
    rendered = prometheus_rule(rules["groups"])
    if write:
        PROMETHEUS_RULE.write_text(rendered, encoding="utf-8")
    elif PROMETHEUS_RULE.read_text(encoding="utf-8") != rendered:
        found.append(f"{PROMETHEUS_RULE}: differs from rules.yaml; run {Path(__file__)} --write")
    for line in found:
        sys.stderr.write(line + "\n")
    failed = bool(found)
    for arguments in (("check", "rules", str(RULES)), ("test", "rules", str(TESTS))):
        failed |= subprocess.run((promtool, *arguments), check=False, timeout=120).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
