"""What happens in a simulation, noted while it happens."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.planning.result import Plan
from hk3s_autoscaler.simulation.cluster import Cluster
from hk3s_autoscaler.simulation.result import Sample, Unserved


@dataclass(slots=True)
class Journal:
    """Waits, samples and the number of plans that were made."""

    start: datetime
    workloads: tuple[str, ...]
    waits: list[timedelta] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    looks: int = 0

    def bound(self, pods: Iterable[Pod], now: datetime) -> None:
        """Pods got a node."""
        self.waits += [now - pod.created_at for pod in pods]

    def see(self, cluster: Cluster, now: datetime) -> None:
        """Note how things stand, if that is news."""
        running = Counter(cluster.workload_of[key] for key, pod in cluster.pods.items() if pod.node)
        sample = Sample(
            at=now - self.start,
            waiting=sum(not pod.node for pod in cluster.pods.values()),
            nodes=sum(node.ready for node in cluster.nodes.values()),
            servers=len(cluster.servers),
            micro_eur_per_hour=sum(s.micro_eur_per_hour for s in cluster.servers.values()),
            by_workload=tuple(running[name] for name in self.workloads),
        )
        if self.samples and self.samples[-1].at == sample.at:
            self.samples[-1] = sample
        elif not self.samples or not _same(self.samples[-1], sample):
            self.samples.append(sample)


def unserved(cluster: Cluster, last: Plan) -> tuple[Unserved, ...]:
    """Pods without a node, by the reason that the last plan gave."""
    waiting = {key for key, pod in cluster.pods.items() if not pod.node}
    counts = Counter(report.reason for report in last.pods if report.pod in waiting)
    return tuple(
        Unserved(reason=reason.code, message=reason.message, pods=number)
        for reason, number in counts.most_common()
    )


def _same(old: Sample, new: Sample) -> bool:
    return (old.waiting, old.nodes, old.servers, old.micro_eur_per_hour, old.by_workload) == (
        new.waiting,
        new.nodes,
        new.servers,
        new.micro_eur_per_hour,
        new.by_workload,
    )
