"""Answers of the API, with defaults; override what matters."""

from typing import Any


def server(**changes: object) -> dict[str, Any]:
    return {
        "id": 42,
        "name": "demo-workers-x7k2p",
        "status": "initializing",
        "created": "2026-11-23T12:00:00Z",
        "server_type": {"id": 114, "name": "cx23"},
        "location": {"id": 1, "name": "fsn1"},
        "image": {"id": 161547269, "name": "ubuntu-24.04"},
        "labels": {},
        "public_net": {"ipv4": None, "ipv6": None, "floating_ips": [], "firewalls": []},
        "private_net": [],
        "volumes": [],
        "locked": False,
        "protection": {"delete": False, "rebuild": False},
        **changes,
    }


def action(action_id: int, status: str = "running", **changes: object) -> dict[str, Any]:
    return {
        "id": action_id,
        "command": "create_server",
        "status": status,
        "progress": 100 if status == "success" else 0,
        "started": "2026-11-23T12:00:00Z",
        "finished": None,
        "resources": [{"id": 42, "type": "server"}],
        "error": None,
        **changes,
    }


def page(
    collection: str, items: list[dict[str, Any]], next_page: int | None = None
) -> dict[str, Any]:
    return {
        collection: items,
        "meta": {"pagination": {"page": 1, "per_page": 50, "next_page": next_page}},
    }
