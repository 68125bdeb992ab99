"""create, create again, destroy: on the emulated cloud and a real control plane."""

from bootstrap.conftest import Site
from hk3s_bootstrap import create, removal


async def test_a_second_run_on_a_finished_cluster_makes_no_writing_call(site: Site) -> None:
    options = create.Options()

    first = await create.create(site.session, await create.assess(site.session, options), options)
    assert first.steps == 10
    assert site.writes.hetzner
    assert site.writes.kube

    site.writes.hetzner.clear()
    site.writes.kube.clear()
    second = await create.create(site.session, await create.assess(site.session, options), options)

    assert site.writes.kube == []
    assert site.writes.hetzner == []
    assert (second.steps, second.objects) == (0, 0)


async def test_destroy_stops_the_daemon_first_and_leaves_nothing(site: Site) -> None:
    options = create.Options()
    await create.create(site.session, await create.assess(site.session, options), options)
    site.writes.hetzner.clear()
    site.writes.kube.clear()

    left = await removal.destroy(site.session, keep_volumes=False)

    assert left.descriptions == ()
    assert site.writes.kube == [
        "PATCH /apis/apps/v1/namespaces/hk3s-system/deployments/hk3s-autoscaler"
    ]
