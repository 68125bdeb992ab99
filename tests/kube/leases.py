"""A Lease behind the fake API, and whether an elector may write."""

from collections.abc import Callable

from hk3s_kube.errors import NotLeader
from hk3s_kube.lease import LeaseElector
from kube.fakes import Answer, FakeApi, Json, Request, status

COLLECTION = "/apis/coordination.k8s.io/v1/namespaces/hk3s-system/leases"
PATH = f"{COLLECTION}/hk3s-autoscaler"

MakeElector = Callable[..., LeaseElector]


class LeaseStore:
    """One Lease behind the fake API, with compare-and-swap as the real one has."""

    def __init__(self, api: FakeApi) -> None:
        self.lease: Json | None = None
        self.broken = False
        self.version = 0
        self.made = 0
        for method, path in (("GET", PATH), ("PUT", PATH), ("POST", COLLECTION)):
            api.routes[method, path] = self.answer

    @property
    def spec(self) -> Json:
        assert self.lease is not None
        spec: Json = self.lease["spec"]
        return spec

    def hold(self, holder: str, *, seconds: int = 15, transitions: int = 3) -> None:
        """Write the Lease as another process would."""
        self.store(
            {
                "metadata": {"name": "hk3s-autoscaler"},
                "spec": {
                    "holderIdentity": holder,
                    "leaseDurationSeconds": seconds,
                    "renewTime": f"renewal {self.version}",
                    "leaseTransitions": transitions,
                },
            }
        )

    def store(self, lease: Json) -> Json:
        self.version += 1
        uid = lease["metadata"].get("uid") or f"uid-{self.made}"
        metadata = {**lease["metadata"], "uid": uid, "resourceVersion": str(self.version)}
        self.lease = {**lease, "metadata": metadata}
        return self.lease

    def answer(self, request: Request) -> Answer:
        if self.broken:
            return (503, status(503, "ServiceUnavailable"))
        if request.method == "POST":
            return self.create(request.body)
        if self.lease is None:
            return (404, status(404, "NotFound"))
        return (200, self.lease) if request.method == "GET" else self.replace(request.body)

    def create(self, lease: Json) -> Answer:
        if self.lease is not None:
            return (409, status(409, "AlreadyExists"))
        self.made += 1
        return (201, self.store(lease))

    def replace(self, lease: Json) -> Answer:
        assert self.lease is not None
        known = self.lease["metadata"]["resourceVersion"]
        if lease["metadata"]["resourceVersion"] != known:
            return (409, status(409, "Conflict"))
        return (200, self.store(lease))


def may_write(elector: LeaseElector) -> bool:
    try:
        elector.check()
    except NotLeader:
        return False
    return True
