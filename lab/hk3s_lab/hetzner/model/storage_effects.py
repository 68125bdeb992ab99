"""What actions on volumes, images, floating IPs, certificates and reverse names change."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from hk3s_lab.hetzner.events import ServerNetworkChanged
from hk3s_lab.hetzner.model.moment import Effect, Moment
from hk3s_lab.hetzner.model.records import Charge, Problem, Volume

CERTIFICATE_LIFE = timedelta(days=90)
_COMPRESSED = 0.06
"""Share of a disk that its image takes in storage: mostly zeros, as on fresh servers."""


def _volume_ready(moment: Moment) -> None:
    volume = moment.project.volumes.get(moment.resource("volume"))
    if volume is not None:
        moment.project.volumes[volume.id] = replace(volume, status="available")


def _volume_lost(moment: Moment) -> None:
    volume = moment.project.volumes.pop(moment.resource("volume"), None)
    if volume is not None:
        moment.project.gone.volumes.append(replace(volume, deleted=moment.now))


def _volume_attached(moment: Moment) -> None:
    _move_volume(moment, moment.resource("server"))


def _volume_detached(moment: Moment) -> None:
    _move_volume(moment, None)


def _move_volume(moment: Moment, server_id: int | None) -> None:
    volume = moment.project.volumes.get(moment.resource("volume"))
    if volume is None or (server_id is not None and server_id not in moment.project.servers):
        return
    moment.project.volumes[volume.id] = replace(volume, server_id=server_id)


def _volume_resized(moment: Moment) -> None:
    volume = moment.project.volumes.get(moment.resource("volume"))
    if volume is not None:
        size = moment.action.arguments["size"]
        moment.project.volumes[volume.id] = _resized(volume, size, moment.now)


def _resized(volume: Volume, size: int, now: datetime) -> Volume:
    start = volume.billed_from or volume.created
    spent = Charge(what=str(volume.size), start=start, end=now)
    return replace(volume, size=size, billed_from=now, past=(*volume.past, spent))


def _image_ready(moment: Moment) -> None:
    image = moment.project.images.get(moment.resource("image"))
    if image is not None:
        size = round(image.disk_size * _COMPRESSED, 2)
        ready = replace(image, status="available", image_size=size)
        moment.project.images[image.id] = ready


def _image_lost(moment: Moment) -> None:
    moment.project.images.pop(moment.resource("image"), None)


def _floating_ip_moved(moment: Moment) -> None:
    ip = moment.project.floating_ips.get(moment.resource("floating_ip"))
    if ip is None:
        return
    wanted = moment.action.arguments.get("server_id")
    server = moment.project.servers.get(wanted) if wanted is not None else None
    server_id = server.id if server is not None and server.deleted is None else None
    moment.project.floating_ips[ip.id] = replace(ip, server_id=server_id)
    for affected in {ip.server_id, server_id} - {None}:
        moment.emit(ServerNetworkChanged(int(affected or 0)))


def _certificate_issued(moment: Moment) -> None:
    certificate = moment.project.certificates.get(moment.resource("certificate"))
    if certificate is not None:
        moment.project.certificates[certificate.id] = replace(
            certificate,
            issuance="completed",
            problem=None,
            certificate=moment.action.arguments["pem"],
            fingerprint=moment.action.arguments["fingerprint"],
            not_valid_before=moment.now,
            not_valid_after=moment.now + CERTIFICATE_LIFE,
        )


def _certificate_refused(moment: Moment) -> None:
    certificate = moment.project.certificates.get(moment.resource("certificate"))
    if certificate is not None:
        problem = moment.action.doom or Problem(code="timeout", message="no answer")
        refused = replace(certificate, issuance="failed", problem=problem)
        moment.project.certificates[certificate.id] = refused


def _name_changed(moment: Moment) -> None:
    """Set or take back a reverse name; a server's addresses are primary IPs."""
    project, wanted = moment.project, moment.action.arguments
    kind, number = wanted["kind"], int(wanted["id"])
    if kind == "primary_ip" and (primary := project.primary_ips.get(number)):
        names = _renamed(primary.dns, wanted)
        project.primary_ips[number] = replace(primary, dns=names)
    elif kind == "floating_ip" and (floating := project.floating_ips.get(number)):
        names = _renamed(floating.dns, wanted)
        project.floating_ips[number] = replace(floating, dns=names)
    elif kind == "load_balancer" and (balancer := project.load_balancers.get(number)):
        names = _renamed(balancer.dns, wanted)
        project.load_balancers[number] = replace(balancer, dns=names)


def _renamed(names: Mapping[str, str], wanted: Mapping[str, str | None]) -> dict[str, str]:
    address, name = str(wanted["ip"]), wanted["dns_ptr"]
    kept = {ip: text for ip, text in names.items() if ip != address}
    return kept if name is None else {**kept, address: name}


SUCCESS: Mapping[str, Effect] = {
    "create_volume": _volume_ready,
    "attach_volume": _volume_attached,
    "detach_volume": _volume_detached,
    "resize_volume": _volume_resized,
    "create_image": _image_ready,
    "assign_floating_ip": _floating_ip_moved,
    "unassign_floating_ip": _floating_ip_moved,
    "create_certificate": _certificate_issued,
    "issue_certificate": _certificate_issued,
    "change_dns_ptr": _name_changed,
}

FAILURE: Mapping[str, Effect] = {
    "create_volume": _volume_lost,
    "create_image": _image_lost,
    "create_certificate": _certificate_refused,
    "issue_certificate": _certificate_refused,
}
