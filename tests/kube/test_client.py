import socket
from pathlib import Path

import pytest

from hk3s_kube import errors
from hk3s_kube.client import ConfigurationInvalid, Kube
from kube.fakes import Answer, FakeApi, FakeClock, Json, Request, kubeconfig, status

EVICTION = "/api/v1/namespaces/default/pods/a/eviction"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/nodepools.hk3s.dev"
POOL = {"apiVersion": "hk3s.dev/v1alpha1", "kind": "NodePool", "metadata": {"name": "workers"}}


def resources(*entries: tuple[str, str, bool]) -> Answer:
    return (
        200,
        {
            "kind": "APIResourceList",
            "resources": [
                {"name": name, "kind": kind, "namespaced": namespaced}
                for name, kind, namespaced in entries
            ],
        },
    )


CORE = resources(
    ("pods", "Pod", True), ("pods/status", "Pod", True), ("namespaces", "Namespace", False)
)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", errors.Invalid),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Expired", errors.Expired),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.ServerFailure),
        (503, "ServiceUnavailable", errors.ServerFailure),
    ],
)
async def test_a_refusal_becomes_its_kind(
    api: FakeApi, kube: Kube, code: int, reason: str, kind: type[errors.KubeError]
) -> None:
    api.routes["GET", "/x"] = (code, status(code, reason, details={"retryAfterSeconds": 3}))

    with pytest.raises(errors.KubeError) as caught:
        await kube.get("/x")

    error = caught.value
    assert type(error) is kind
    assert (error.status, error.reason, error.retry_after) == (code, reason, 3.0)


async def test_a_refusal_in_plain_text_has_a_kind_too(api: FakeApi, kube: Kube) -> None:
    api.routes["GET", "/x"] = (429, "Too many requests, please try again later.")

    with pytest.raises(errors.TooManyRequests) as caught:
        await kube.get("/x")

    assert caught.value.retry_after == 7.0
    assert "try again" in caught.value.message


async def test_a_refused_connection_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        kube = await Kube.from_kubeconfig(kubeconfig(f"http://127.0.0.1:{unused.getsockname()[1]}"))
        with pytest.raises(errors.Unreachable) as caught:
            await kube.get("/version")
        await kube.close()

    assert caught.value.status == 0


async def test_an_answer_that_does_not_come_is_unreachable(api: FakeApi, kube: Kube) -> None:
    api.watches.append([None])

    with pytest.raises(errors.Unreachable) as caught:
        await kube.get("/x", {"watch": "1"}, within=0.05)

    assert caught.value.reason == "Timeout"


async def test_plain_http_where_tls_is_wanted_is_unreachable(api: FakeApi) -> None:
    kube = await Kube.from_kubeconfig(kubeconfig(api.url.replace("http:", "https:")))

    with pytest.raises(errors.Unreachable):
        await kube.get("/version")
    await kube.close()


async def test_the_token_of_the_kubeconfig_is_sent(api: FakeApi, kube: Kube) -> None:
    api.routes["GET", "/version"] = (200, {"gitVersion": "v1.36.5+k3s1"})

    assert (await kube.get("/version"))["gitVersion"] == "v1.36.5+k3s1"
    assert api.requests[0].headers["Authorization"] == "Bearer bearer-of-tests"


async def test_a_kubeconfig_may_be_a_file(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config"
    file.write_text(kubeconfig(api.url))
    monkeypatch.setenv("KUBECONFIG", str(file))

    kube = await Kube.from_environment()
    await kube.close()

    assert kube.server == api.url


@pytest.mark.parametrize(
    "text", ["", "a: [", "a: b", "[]", kubeconfig("x").replace('"test"', '"toast"', 1)]
)
async def test_a_bad_kubeconfig_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        await Kube.from_kubeconfig(text)

    assert "bearer-of-tests" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_no_kubeconfig_at_all_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with pytest.raises(ConfigurationInvalid, match="neither"):
        await Kube.from_environment()
    with pytest.raises(ConfigurationInvalid):
        await Kube.from_kubeconfig(tmp_path / "missing")


async def test_any_manifest_is_applied_where_it_belongs(api: FakeApi, kube: Kube) -> None:
    api.routes["GET", "/api/v1"] = CORE
    api.routes["PATCH", "/api/v1/namespaces/hk3s-system/pods/a"] = (200, {"kind": "Pod"})
    api.routes["PATCH", "/api/v1/namespaces/other"] = (200, {"kind": "Namespace"})
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": "hk3s-system"},
    }
    namespace: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}

    await kube.apply(pod, field_manager="hk3s-bootstrap")
    await kube.apply(namespace, field_manager="hk3s-bootstrap", force=True)

    assert api.said()[0] == "GET /api/v1"
    assert len(api.requests) == 3
    applied = api.requests[1]
    assert applied.query == {"fieldManager": "hk3s-bootstrap", "force": "false"}
    assert applied.headers["Content-Type"] == "application/apply-patch+yaml"
    assert applied.body == pod
    assert api.requests[2].query["force"] == "true"


async def test_a_kind_that_is_new_is_asked_for_again(api: FakeApi, kube: Kube) -> None:
    api.routes["GET", "/apis/hk3s.dev/v1alpha1"] = resources()
    with pytest.raises(errors.NotFound):
        await kube.path_of(POOL)

    api.routes["GET", "/apis/hk3s.dev/v1alpha1"] = resources(("nodepools", "NodePool", False))

    assert await kube.path_of(POOL) == "/apis/hk3s.dev/v1alpha1/nodepools/workers"


async def test_a_status_is_applied_to_its_subresource(api: FakeApi, kube: Kube) -> None:
    api.routes["GET", "/apis/hk3s.dev/v1alpha1"] = resources(("nodepools", "NodePool", False))
    api.routes["PATCH", "/apis/hk3s.dev/v1alpha1/nodepools/workers/status"] = (200, {})

    await kube.apply(
        {**POOL, "status": {"nodes": 1}}, field_manager="hk3s-autoscaler", subresource="status"
    )

    assert api.requests[-1].body["status"] == {"nodes": 1}


async def test_create_posts_to_the_collection(api: FakeApi, kube: Kube) -> None:
    api.routes["GET", "/api/v1"] = CORE
    api.routes["POST", "/api/v1/namespaces/default/pods"] = (201, {"kind": "Pod"})

    await kube.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}})

    assert api.requests[-1].body["metadata"] == {"name": "a"}


async def test_a_json_patch_is_a_list(api: FakeApi, kube: Kube) -> None:
    api.routes["PATCH", "/api/v1/nodes/n1"] = (200, {})
    patch = [{"op": "test", "path": "/metadata/uid", "value": "u"}]

    await kube.patch("/api/v1/nodes/n1", patch, "application/json-patch+json")

    assert api.requests[0].body == patch
    assert api.requests[0].headers["Content-Type"] == "application/json-patch+json"


async def test_deleting_what_is_gone_is_fine_and_preconditions_are_sent(
    api: FakeApi, kube: Kube
) -> None:
    api.routes["DELETE", "/api/v1/nodes/n1"] = (404, status(404, "NotFound"))

    await kube.delete("/api/v1/nodes/n1", uid="u", grace_period_seconds=0, propagation="Foreground")

    assert api.requests[0].body == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u"},
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Foreground",
    }


async def test_deleting_another_object_of_the_name_is_a_conflict(api: FakeApi, kube: Kube) -> None:
    api.routes["DELETE", "/api/v1/nodes/n1"] = (409, status(409, "Conflict"))

    with pytest.raises(errors.Conflict):
        await kube.delete("/api/v1/nodes/n1", uid="old")


async def test_an_eviction_goes_through_the_eviction_api(api: FakeApi, kube: Kube) -> None:
    api.routes["POST", EVICTION] = (201, status(201, "Success"))

    await kube.evict("default", "a", uid="u", grace_period_seconds=30)

    assert api.requests[0].body == {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"namespace": "default", "name": "a"},
        "deleteOptions": {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": "u"},
            "gracePeriodSeconds": 30,
        },
    }


async def test_evicting_what_is_gone_is_fine(api: FakeApi, kube: Kube) -> None:
    api.routes["POST", EVICTION] = (404, status(404, "NotFound"))

    await kube.evict("default", "a")


@pytest.mark.parametrize(
    "answer",
    [
        (
            429,
            status(429, "TooManyRequests", details={"causes": [{"reason": "DisruptionBudget"}]}),
        ),
        (
            500,
            {
                **status(500, "InternalError"),
                "message": "This pod has more than one PodDisruptionBudget",
            },
        ),
    ],
    ids=["a budget", "two budgets"],
)
async def test_a_budget_blocks_an_eviction(api: FakeApi, kube: Kube, answer: Answer) -> None:
    api.routes["POST", EVICTION] = answer

    with pytest.raises(errors.EvictionBlocked):
        await kube.evict("default", "a")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((429, "Too many requests"), errors.TooManyRequests),
        ((500, status(500, "InternalError")), errors.ServerFailure),
    ],
)
async def test_a_busy_server_is_no_budget(
    api: FakeApi, kube: Kube, answer: Answer, kind: type[errors.KubeError]
) -> None:
    api.routes["POST", EVICTION] = answer

    with pytest.raises(kind) as caught:
        await kube.evict("default", "a")

    assert type(caught.value) is kind


async def test_lists_follow_pages(api: FakeApi, kube: Kube) -> None:
    api.lists.append((200, {"metadata": {"continue": "more"}, "items": [{"a": 1}]}))
    api.lists.append((200, {"metadata": {}, "items": [{"a": 2}]}))

    items = await kube.list_items("/api/v1/secrets", label_selector="a in (b,c)")

    assert items == [{"a": 1}, {"a": 2}]
    assert api.requests[0].query == {"labelSelector": "a in (b,c)", "limit": "500"}
    assert api.requests[1].query["continue"] == "more"


async def test_a_definition_is_waited_for(api: FakeApi, kube: Kube, clock: FakeClock) -> None:
    def answer(request: Request) -> Answer:
        ready = "True" if len(api.requests) > 2 else "False"
        return (200, {"status": {"conditions": [{"type": "Established", "status": ready}]}})

    api.routes["GET", CRD] = answer

    await kube.wait_established("nodepools.hk3s.dev", clock=clock)

    assert len(api.requests) == 3


async def test_a_definition_that_never_is_established_is_given_up(
    api: FakeApi, kube: Kube, clock: FakeClock
) -> None:
    api.routes["GET", CRD] = (200, {"metadata": {}})

    with pytest.raises(errors.Unreachable):
        await kube.wait_established("nodepools.hk3s.dev", seconds=1.0, clock=clock)

    assert clock.time >= 1001.0


async def test_names_are_escaped_in_paths(api: FakeApi, kube: Kube) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    api.routes["GET", rbac] = resources(("clusterroles", "ClusterRole", False))
    role: Json = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:hk3s"},
    }

    assert await kube.path_of(role) == f"{rbac}/clusterroles/system%3Ahk3s"
