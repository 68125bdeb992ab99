"""`status`: what is there, what it costs and what is wrong with it, for people and programs."""

from dataclasses import dataclass
from typing import Any

from rich.table import Table

from hk3s_bootstrap import cluster, kubeconfig, objects
from hk3s_bootstrap.observed import Observed, observe
from hk3s_bootstrap.session import Session
from hk3s_hetzner import domain, labels
from hk3s_hetzner.catalog import offerings
from hk3s_kube import labels as node_labels
from hk3s_kube import nodepool
from hk3s_kube.client import Kube
from hk3s_kube.errors import KubeError, NotFound

MICRO = 1_000_000
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything, in the shape that `--output json` prints."""

    values: Json

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.values["problems"]

    def tables(self) -> tuple[Table, ...]:
        """Return it as tables."""
        servers = Table(title=f"Servers of {self.values['cluster']}", title_justify="left")
        for column in ("name", "role", "type", "location", "status", "private", "public", "EUR/h"):
            servers.add_column(column, justify="right" if column == "EUR/h" else "left")
        for server in self.values["servers"]:
            servers.add_row(
                server["name"],
                server["role"],
                server["serverType"],
                server["location"],
                server["status"],
                server["privateIp"] or "-",
                server["publicIpv4"] or "-",
                f"{server['euroPerHour']:.4f}",
            )
        rest = Table(show_header=False, box=None)
        rest.add_row("EUR/h in all", f"{self.values['euroPerHour']:.4f}")
        rest.add_row("API", "reachable" if self.values["api"]["reachable"] else "not reachable")
        for node in self.values["nodes"]:
            rest.add_row("node", f"{node['name']} {'Ready' if node['ready'] else node['message']}")
        for pool in self.values["pools"]:
            rest.add_row("pool", f"{pool['name']}: {pool['nodes']} nodes, {pool['ready']} ready")
        if self.values["autoscaler"] is not None:
            rest.add_row("autoscaler", self.values["autoscaler"]["message"])
        for problem in self.values["problems"]:
            rest.add_row("problem", problem)
        return (servers, rest)


async def status(session: Session) -> Status:
    """Look at Hetzner and, if it answers, at the cluster. Writes nothing."""
    observed = await observe(session.hetzner, session.config.cluster)
    prices = await _prices(session)
    address = observed.primary_ip
    address_price = prices.get(("primary_ip", address.location), 0) if address else 0
    servers = [_server(server, observed, prices) for server in observed.servers]
    inside = await _inside(session, observed)
    problems = [*_missing(observed), *inside.pop("problems")]
    return Status(
        values={
            "cluster": session.config.cluster,
            "network": _network(observed.network),
            "publicAddress": None if address is None else address.ip,
            "servers": servers,
            **inside,
            "euroPerHour": (
                sum(server["euroPerHour"] for server in servers) + address_price / MICRO
            ),
            "problems": problems,
        }
    )


async def _prices(session: Session) -> dict[tuple[str, str], int]:
    """Return micro-euro an hour by (server type, location); addresses under `primary_ip`."""
    types = await session.hetzner.list_server_types()
    pricing = await session.hetzner.get_pricing()
    prices = {
        (offering.server_type, offering.location): offering.price_micro_eur_hour
        for offering in offerings(types)
    }
    return prices | {
        ("primary_ip", location): hour for location, (hour, _) in pricing.primary_ipv4.items()
    }


def _server(server: domain.Server, observed: Observed, prices: dict[tuple[str, str], int]) -> Json:
    # A worker says what it was bought for: list prices change, its own does not.
    bought = server.labels.get(labels.PRICE, "")
    listed = prices.get((server.server_type, server.location), 0)
    network = observed.network
    return {
        "name": server.name,
        "role": labels.role_of(server.labels),
        "pool": server.labels.get(labels.POOL),
        "serverType": server.server_type,
        "location": server.location,
        "status": server.status,
        "privateIp": None if network is None else server.private_ip(network.id),
        "publicIpv4": server.public_ipv4,
        "publicIpv6": server.public_ipv6,
        "createdAt": server.created.isoformat(),
        "euroPerHour": (int(bought) if bought.isdigit() else listed) / MICRO,
    }


def _network(network: domain.Network | None) -> Json | None:
    if network is None:
        return None
    return {
        "id": network.id,
        "name": network.name,
        "range": network.ip_range,
        "subnets": [subnet.ip_range for subnet in network.subnets],
        "routes": [f"{route.destination} via {route.gateway}" for route in network.routes],
        "members": len(network.server_ids) + len(network.load_balancer_ids),
    }


def _missing(observed: Observed) -> tuple[str, ...]:
    parts = (
        ("network", observed.network),
        ("firewall", observed.firewall),
        ("public address", observed.primary_ip),
        ("bastion", observed.bastion),
        ("master", observed.master),
    )
    missing = [f"the {name} is missing" for name, part in parts if part is None]
    off = [
        f"{server.name} is {server.status}"
        for server in (observed.bastion, observed.master)
        if server is not None and server.status != "running"
    ]
    public = [
        f"{server.name} has a public address"
        for server in observed.servers
        if server is not observed.bastion and (server.public_ipv4 or server.public_ipv6)
    ]
    return (*missing, *off, *public)


async def _inside(session: Session, observed: Observed) -> Json:
    """Return what the cluster says of itself."""
    outside: Json = {"nodes": [], "pools": [], "autoscaler": None}
    secrets = session.load_state()
    if observed.primary_ip is None or observed.master is None:
        return outside | {"api": {"reachable": False, "server": None}, "problems": []}
    server = f"https://{observed.primary_ip.ip}:{kubeconfig.API_PORT}"
    api = {"reachable": False, "server": server}
    if secrets is None:
        problem = f"no state in {session.state_directory}: the API cannot be asked"
        return outside | {"api": api, "problems": [problem]}
    kube = await session.open_api(secrets, observed.primary_ip.ip)
    try:
        return {"api": api | {"reachable": True}, **await _ask(kube)}
    except KubeError as error:
        return outside | {"api": api, "problems": [f"the API does not answer: {error.message}"]}
    finally:
        await kube.close()


async def _ask(kube: Kube) -> Json:
    nodes = [_node(node) for node in await kube.list_items("/api/v1/nodes")]
    try:
        pools = [_pool(pool) for pool in await kube.list_items(nodepool.PATH)]
        path = f"/apis/apps/v1/namespaces/{objects.NAMESPACE}/deployments/{objects.DEPLOYMENT}"
        missing = cluster.not_available(await kube.get(path))
    except NotFound:
        pools, missing = [], "is not installed"
    problems = [f"node {node['name']}: {node['message']}" for node in nodes if not node["ready"]]
    if missing is not None:
        problems.append(f"autoscaler: {missing}")
    return {
        "nodes": nodes,
        "pools": pools,
        "autoscaler": {"available": missing is None, "message": missing or "available"},
        "problems": problems,
    }


def _node(node: Json) -> Json:
    trouble = cluster.not_ready(node)
    found = node["metadata"].get("labels", {})
    return {
        "name": node["metadata"]["name"],
        "ready": trouble is None,
        "message": trouble or "",
        "pool": found.get(node_labels.POOL),
        "serverType": found.get(node_labels.INSTANCE_TYPE),
    }


def _pool(pool: Json) -> Json:
    reported = pool.get("status", {})
    return {
        "name": pool["metadata"]["name"],
        "nodes": reported.get("nodes", 0),
        "ready": reported.get("ready", 0),
        "maxNodes": pool["spec"].get("maxNodes"),
        "conditions": {
            condition["type"]: condition["status"] for condition in reported.get("conditions", ())
        },
    }
