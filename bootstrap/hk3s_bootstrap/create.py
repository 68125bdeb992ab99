"""`create` and `plan`: from what is wanted and found to a cluster that works."""

from dataclasses import dataclass
from datetime import timedelta

from hk3s_bootstrap import diff, kubeconfig, machines, objects, state
from hk3s_bootstrap.apply import Executor
from hk3s_bootstrap.checks import online
from hk3s_bootstrap.cluster import Cluster
from hk3s_bootstrap.desired import Desired, Machine, desire, zone_of
from hk3s_bootstrap.failures import BootstrapError
from hk3s_bootstrap.observed import Observed, observe
from hk3s_bootstrap.session import Session
from hk3s_bootstrap.state import State
from hk3s_bootstrap.steps import Step
from hk3s_findings.finding import Finding
from hk3s_hetzner import names
from hk3s_kube.errors import KubeError

MOST_SKEW = timedelta(minutes=1)
"""Between two clocks; certificates begin a day early, join tokens live for minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is wanted, what is found, and what keeps a run from changing anything."""

    desired: Desired
    observed: Observed
    market: online.Market
    secrets: State
    state_found: bool
    findings: tuple[Finding, ...]
    refusals: tuple[str, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is missing at Hetzner."""
        return diff.steps(self.desired, self.observed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How bold `create` is."""

    try_sold_out: bool = False
    replace_master: bool = False
    replace_pools: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `create` would do. `objects` is None when the cluster does not answer (yet)."""

    steps: tuple[Step, ...]
    objects: tuple[str, ...] | None
    pools_that_differ: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """What `create` did."""

    steps: int
    objects: int
    address: str
    kubeconfig: str
    pools_that_differ: tuple[str, ...]


async def assess(session: Session, options: Options) -> Situation:
    """Look at everything; nothing is written, neither there nor here."""
    config = session.config
    observed = await observe(session.hetzner, config.cluster)
    market = await online.read_market(session.hetzner, session.clock.now())
    found = session.load_state()
    secrets = found or state.mint(session.clock.now(), session.random_bytes)
    zone = zone_of(config.location, market.locations) or ""
    desired = desire(config, secrets.ca_hash, zone)
    known = state.read_cluster_uid(session.state_directory) is not None
    return Situation(
        desired=desired,
        observed=observed,
        market=market,
        secrets=secrets,
        state_found=found is not None,
        findings=(
            *online.check(
                online.Context(
                    config=config,
                    market=market,
                    observed=observed,
                    try_sold_out=options.try_sold_out,
                )
            ),
            *_clock_skew(session),
            *_kubeconfig_in_the_way(session, secrets),
        ),
        refusals=diff.refusals(
            desired,
            observed,
            state_found=found is not None,
            cluster_known=known,
            replace_master=options.replace_master,
        ),
    )


async def plan(session: Session, situation: Situation) -> Plan:
    """Return what `create` would do, without doing it."""
    address = situation.observed.primary_ip
    if situation.steps or address is None:
        return Plan(steps=situation.steps, objects=None, pools_that_differ=())
    kube = await session.open_api(situation.secrets, address.ip)
    try:
        cluster = Cluster(kube=kube, clock=session.clock, reporter=session.reporter)
        wanted = _manifests(session, situation, situation.observed)
        missing = await cluster.missing(wanted)
        absent, differ = await cluster.pools_to_apply(session.config)
        return Plan(
            steps=(),
            objects=tuple(map(objects.describe, (*missing, *absent))),
            pools_that_differ=differ,
        )
    except KubeError:
        return Plan(steps=(), objects=None, pools_that_differ=())
    finally:
        await kube.close()


async def create(session: Session, situation: Situation, options: Options) -> Created:
    """Make what is missing; a run that is killed anywhere is continued by the next one.

    Raises:
        BootstrapError: refused, or a step failed; everything before it is done.
    """
    if situation.refusals:
        raise BootstrapError(
            situation.refusals[0], fix="see above; nothing was changed", code="refused"
        )
    config, directory = session.config, session.state_directory
    if not situation.state_found:
        state.save(directory, situation.secrets)
        session.reporter.note(f"CAs and tokens are kept in {directory}: back it up")
    if options.replace_master and situation.observed.master is None:
        state.forget_cluster_uid(directory)
    executor = Executor(
        hetzner=session.hetzner,
        desired=situation.desired,
        births=_Births(session=session, situation=situation),
        clock=session.clock,
        reporter=session.reporter,
    )
    steps = situation.steps
    world = await executor.carry_out(steps, situation.observed)
    address = _address(world)
    kube = await session.open_api(situation.secrets, address)
    try:
        cluster = Cluster(kube=kube, clock=session.clock, reporter=session.reporter)
        uid = await cluster.wait_for_api()
        _remember(session, uid)
        path = _write_kubeconfig(session, situation.secrets, address)
        applied = await cluster.apply(_manifests(session, situation, world))
        made, differ = await cluster.apply_pools(config, replace=options.replace_pools)
        await cluster.wait_for_master(names.master(config.cluster))
        await cluster.wait_for_autoscaler()
    finally:
        await kube.close()
    return Created(
        steps=len(steps),
        objects=applied + made,
        address=address,
        kubeconfig=path,
        pools_that_differ=differ,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Births:
    session: Session
    situation: Situation

    def user_data(self, machine: Machine, world: Observed) -> str:
        config, secrets = self.session.config, self.situation.secrets
        birth = machines.Birth(now=self.session.clock.now(), random_bytes=self.session.random_bytes)
        if machine.role == "bastion":
            return machines.bastion_user_data(config, secrets, birth)
        server_type = self.situation.market.server_type(machine.server_type)
        if server_type is None:
            raise RuntimeError(f"{machine.server_type} was checked to exist")
        size = machines.Size(cores=server_type.cores, memory_bytes=server_type.memory_bytes)
        return machines.master_user_data(config, secrets, size, _address(world), birth)


def _manifests(
    session: Session, situation: Situation, world: Observed
) -> tuple[objects.Manifest, ...]:
    if world.network is None:
        raise RuntimeError("the network is made before anything is applied")
    wanted = {key.fingerprint for key in situation.desired.ssh_keys}
    facts = objects.Facts(
        endpoint=session.endpoint,
        token=session.token,
        network_id=world.network.id,
        ssh_key_ids=tuple(sorted(key.id for key in world.ssh_keys if key.fingerprint in wanted)),
    )
    return objects.manifests(session.config, situation.desired, situation.secrets, facts)


def _address(world: Observed) -> str:
    if world.primary_ip is None:
        raise RuntimeError("the public address is reserved before anything needs it")
    return world.primary_ip.ip


def _remember(session: Session, uid: str) -> None:
    known = state.read_cluster_uid(session.state_directory)
    if known is None:
        state.save_cluster_uid(session.state_directory, uid)
    elif known != uid:
        raise BootstrapError(
            f"the API that answers is of another cluster ({uid}, not {known})",
            fix="if the master was replaced by hand, run again with --replace-master;"
            " else name the right --state-dir",
            code="foreign-cluster",
        )


def _write_kubeconfig(session: Session, secrets: State, address: str) -> str:
    """Write it unless a good one is there: kubeconfigs are for people, state is kept elsewhere."""
    path, now = session.kubeconfig_path, session.clock.now()
    if not kubeconfig.is_current(path, secrets, address, now):
        text = kubeconfig.render(session.config.cluster, secrets, address, now)
        try:
            written = kubeconfig.write(path, text)
        except OSError as error:
            raise BootstrapError(
                f"the kubeconfig cannot be written to {path}: {error.strerror}",
                fix="name another place with --kubeconfig, then run the command again",
            ) from error
        if written.backup is not None:
            session.reporter.note(f"what stood at {path} is kept as {written.backup}")
    return str(path)


def _clock_skew(session: Session) -> tuple[Finding, ...]:
    """Compare with the time of Hetzner's answers: certificates and join tokens live by clocks."""
    there = session.hetzner.server_time
    skew = timedelta() if there is None else session.clock.now() - there
    if abs(skew) <= MOST_SKEW:
        return ()
    direction = "ahead of" if skew > timedelta() else "behind"
    return (
        Finding(
            code="HK3S-E057",
            path=(),
            cause=f"the clock here is {abs(skew).total_seconds():.0f} s {direction} Hetzner's",
            fix="set the clock (NTP): certificates that are made here are judged by others' clocks",
            severity="warning",
        ),
    )


def _kubeconfig_in_the_way(session: Session, secrets: State) -> tuple[Finding, ...]:
    path = session.kubeconfig_path
    what = kubeconfig.occupant(path, secrets)
    if what in ("nothing", "ours"):
        return ()
    return (
        Finding(
            code="HK3S-E056",
            path=(),
            cause=f"{path} is {'empty' if what == 'empty' else 'not of this cluster'}",
            fix="nothing: it will be kept as .bak; or name another place with --kubeconfig",
            severity="warning",
        ),
    )
