"""The second half of the table: disks, addresses, load balancers, certificates, server options."""

from lab.hetzner.support import Json
from lab.hetzner.test_errors import Row, invalid, missing, refused
from lab.hetzner.walk import HTTPS, TCP

VOLUME = {"name": "w", "size": 10, "location": "fsn1"}
FLOATING = {"type": "ipv4", "home_location": "fsn1"}
BALANCER = {"name": "m", "load_balancer_type": "lb11", "location": "fsn1"}
UPLOAD = {"name": "d", "certificate": "x", "private_key": "y"}


def taken(path: str, body: Json, field: str = "name", method: str = "POST") -> Row:
    details = {"fields": [{"name": field}]}
    return Row(
        method=method,
        path=path,
        body=body,
        status=409,
        code="uniqueness_error",
        details=details,
    )


def kept(path: str, code: str = "protected", status: int = 423) -> Row:
    return Row(method="DELETE", path=path, status=status, code=code)


def target(**fields: Json) -> Json:
    return {"type": "server", "server": {"id": "{server}"}, **fields}


S, V, F, P = "/servers/{server}", "/volumes/{volume}", "/floating_ips/{floating}", "/primary_ips"
L, OFF = "/load_balancers/{balancer}", "/servers/{off}"
ROWS = {
    # volumes
    "volume-empty": invalid("/volumes", {}, "name", "size", "location"),
    "volume-too-small": invalid("/volumes", {**VOLUME, "size": 9}, "size"),
    "volume-too-large": invalid("/volumes", {**VOLUME, "size": 10241}, "size"),
    "volume-size-text": invalid("/volumes", {**VOLUME, "size": "10"}, "size"),
    "volume-name-dash": invalid("/volumes", {**VOLUME, "name": "-v"}, "name"),
    "volume-format": invalid("/volumes", {**VOLUME, "format": "zfs"}, "format"),
    "volume-location": invalid("/volumes", {**VOLUME, "location": "mars"}, "location"),
    "volume-automount-alone": invalid("/volumes", {**VOLUME, "automount": True}, "automount"),
    "volume-server-missing": missing("POST", "/volumes", {"name": "w", "size": 10, "server": 1}),
    "volume-elsewhere": invalid(
        "/volumes", {**VOLUME, "location": "nbg1", "server": "{server}"}, "location"
    ),
    "volume-name-taken": taken("/volumes", {**VOLUME, "name": "volume"}),
    "volume-rename-taken": taken("/volumes/{loose}", {"name": "volume"}, method="PUT"),
    "volume-attach-nothing": invalid("/volumes/{loose}/actions/attach", {}, "server"),
    "volume-attach-missing": missing("POST", "/volumes/{loose}/actions/attach", {"server": 1}),
    "volume-attach-again": refused(
        f"{V}/actions/attach", {"server": "{server}"}, "volume_already_attached"
    ),
    "volume-attach-far": invalid("/volumes/{far}/actions/attach", {"server": "{server}"}, "server"),
    "volume-detach-loose": invalid("/volumes/{loose}/actions/detach", None, "id"),
    "volume-shrink": invalid(f"{V}/actions/resize", {"size": 10}, "size"),
    "volume-resize-same": invalid(f"{V}/actions/resize", {"size": 20}, "size"),
    "volume-resize-huge": invalid(f"{V}/actions/resize", {"size": 10241}, "size"),
    "volume-in-use": kept(V, "resource_in_use", 422),
    "volume-protected": kept("/volumes/{loose}"),
    "volume-missing": missing("DELETE", "/volumes/1"),
    # floating IPs
    "floating-empty": invalid("/floating_ips", {}, "type", "home_location"),
    "floating-type": invalid("/floating_ips", {**FLOATING, "type": "ipv5"}, "type"),
    "floating-home": invalid("/floating_ips", {**FLOATING, "home_location": "x"}, "home_location"),
    "floating-unknown-field": invalid("/floating_ips", {**FLOATING, "zone": 1}, "zone"),
    "floating-server-missing": missing("POST", "/floating_ips", {"type": "ipv4", "server": 1}),
    "floating-name-taken": taken("/floating_ips", {**FLOATING, "name": "floating"}),
    "floating-assign-nothing": invalid(f"{F}/actions/assign", {}, "server"),
    "floating-assign-again": refused(
        f"{F}/actions/assign", {"server": "{off}"}, "floating_ip_assigned"
    ),
    "floating-assign-missing": missing(
        "POST", "/floating_ips/{spare}/actions/assign", {"server": 1}
    ),
    "floating-unassign-spare": invalid("/floating_ips/{spare}/actions/unassign", None, "id"),
    "floating-assigned": kept(F, "must_be_unassigned", 422),
    "floating-protected": kept("/floating_ips/{spare}"),
    "floating-protection-empty": invalid(f"{F}/actions/change_protection", {}, "delete"),
    "floating-pointer-empty": invalid(f"{F}/actions/change_dns_ptr", {}, "ip", "dns_ptr"),
    "floating-pointer-foreign": invalid(
        f"{F}/actions/change_dns_ptr", {"ip": "1.2.3.4", "dns_ptr": "a.example.com"}, "ip"
    ),
    "floating-pointer-bad": invalid(
        f"{F}/actions/change_dns_ptr", {"ip": "1.2.3.4", "dns_ptr": "a b"}, "dns_ptr"
    ),
    # primary IPs
    "primary-assigned": kept(f"{P}/{{primary}}", "must_be_unassigned", 422),
    "primary-assign-running": refused(
        f"{P}/{{free}}/actions/assign",
        {"assignee_type": "server", "assignee_id": "{server}"},
        "server_not_stopped",
    ),
    "primary-assign-again": refused(
        f"{P}/{{primary}}/actions/assign",
        {"assignee_type": "server", "assignee_id": "{off}"},
        "primary_ip_already_assigned",
    ),
    "primary-assign-kind": invalid(
        f"{P}/{{free}}/actions/assign", {"assignee_type": "x", "assignee_id": 1}, "assignee_type"
    ),
    "primary-unassign-running": refused(
        f"{P}/{{primary}}/actions/unassign", None, "server_not_stopped"
    ),
    "primary-pointer-foreign": invalid(
        f"{P}/{{free}}/actions/change_dns_ptr", {"ip": "::1", "dns_ptr": None}, "ip"
    ),
    "primary-for-balancer-elsewhere": invalid(
        "/load_balancers",
        {**BALANCER, "location": "nbg1", "public_net": {"ipv4": "{free}"}},
        "public_net.ipv4",
    ),
    "primary-for-balancer-version": Row(
        method="POST",
        path="/load_balancers",
        body={**BALANCER, "public_net": {"ipv6": "{free}"}},
        status=412,
        code="primary_ip_version_mismatch",
    ),
    "primary-for-balancer-taken": refused(
        "/load_balancers", {**BALANCER, "public_net": {"ipv4": "{primary}"}}, "primary_ip_assigned"
    ),
    # load balancers
    "balancer-empty": invalid("/load_balancers", {}, "name", "load_balancer_type", "location"),
    "balancer-type": invalid(
        "/load_balancers", {**BALANCER, "load_balancer_type": "lb1"}, "load_balancer_type"
    ),
    "balancer-both-places": invalid(
        "/load_balancers", {**BALANCER, "network_zone": "eu-central"}, "location"
    ),
    "balancer-algorithm": invalid(
        "/load_balancers", {**BALANCER, "algorithm": {"type": "random"}}, "algorithm.type"
    ),
    "balancer-network-missing": missing("POST", "/load_balancers", {**BALANCER, "network": 1}),
    "balancer-private-alone": refused(
        "/load_balancers",
        {**BALANCER, "public_interface": False},
        "load_balancer_not_attached_to_network",
    ),
    "balancer-name-taken": taken("/load_balancers", {**BALANCER, "name": "balancer"}),
    "balancer-ports-clash": Row(
        method="POST",
        path="/load_balancers",
        body={**BALANCER, "services": [TCP, TCP]},
        status=412,
        code="source_port_already_used",
    ),
    "balancer-protected": kept(L),
    "service-port-used": Row(
        method="POST",
        path=f"{L}/actions/add_service",
        body=TCP,
        status=412,
        code="source_port_already_used",
    ),
    "service-empty": invalid(
        f"{L}/actions/add_service", {}, "protocol", "listen_port", "destination_port"
    ),
    "service-protocol": invalid(f"{L}/actions/add_service", {**TCP, "protocol": "udp"}, "protocol"),
    "service-port-range": invalid(
        f"{L}/actions/add_service", {**TCP, "listen_port": 65536}, "listen_port"
    ),
    "service-interval": invalid(
        f"{L}/actions/add_service",
        {**TCP, "health_check": {"protocol": "tcp", "interval": 2}},
        "health_check.interval",
    ),
    "service-tcp-with-http": invalid(f"{L}/actions/add_service", {**TCP, "http": {}}, "http"),
    "service-certificate-missing": invalid(
        f"{L}/actions/add_service",
        {**HTTPS, "http": {"certificates": [1]}},
        "http.certificates",
    ),
    "service-update-missing": missing(
        "POST", f"{L}/actions/update_service", {"listen_port": 1, "proxyprotocol": True}
    ),
    "service-delete-missing": missing("POST", f"{L}/actions/delete_service", {"listen_port": 1}),
    "target-kind": invalid(f"{L}/actions/add_target", {"type": "vm"}, "type"),
    "target-empty": invalid(f"{L}/actions/add_target", {"type": "server"}, "server", "server.id"),
    "target-missing": missing("POST", f"{L}/actions/add_target", target(server={"id": 1})),
    "target-twice": refused(f"{L}/actions/add_target", target(), "target_already_defined"),
    "target-selector-bad": invalid(
        f"{L}/actions/add_target",
        {"type": "label_selector", "label_selector": {"selector": "a==="}},
        "label_selector.selector",
    ),
    "target-private-unattached": refused(
        f"{L}/actions/add_target",
        {**target(server={"id": "{off}"}), "use_private_ip": True},
        "load_balancer_not_attached_to_network",
    ),
    "target-without-address": refused(
        f"{L}/actions/add_target",
        target(server={"id": "{off}"}),
        "resolve_cloud_public_targets_error",
    ),
    "target-foreign-network": refused(
        "/load_balancers/{private}/actions/add_target",
        {**target(server={"id": "{off}"}), "use_private_ip": True},
        "resolve_cloud_private_targets_error",
    ),
    "target-public-disabled": refused(
        "/load_balancers/{private}/actions/add_target",
        target(),
        "load_balancer_public_interface_disabled",
    ),
    "target-foreign-ip": refused(
        f"{L}/actions/add_target",
        target(server={"id": "{off}", "ip": "1.2.3.4"}),
        "ip_not_assigned_to_server",
    ),
    "target-ip-not-owned": refused(
        f"{L}/actions/add_target", {"type": "ip", "ip": {"ip": "8.8.8.8"}}, "ip_not_owned"
    ),
    "target-ip-no-vswitch": refused(
        "/load_balancers/{private}/actions/add_target",
        {"type": "ip", "ip": {"ip": "10.4.0.200"}},
        "network_has_no_vswitch_subnet",
    ),
    "target-ip-no-network": refused(
        f"{L}/actions/add_target",
        {"type": "ip", "ip": {"ip": "10.4.0.200"}},
        "load_balancer_not_attached_to_network",
    ),
    "target-remove-unknown": missing(
        "POST", f"{L}/actions/remove_target", target(server={"id": "{off}"})
    ),
    "balancer-attached-already": refused(
        "/load_balancers/{private}/actions/attach_to_network",
        {"network": "{network}"},
        "load_balancer_already_attached",
    ),
    "balancer-ip-used": refused(
        f"{L}/actions/attach_to_network",
        {"network": "{network}", "ip": "10.4.0.2"},
        "ip_not_available",
    ),
    "balancer-no-subnet": refused(
        f"{L}/actions/attach_to_network",
        {"network": "{network}", "ip_range": "10.4.99.0/24"},
        "no_subnet_available",
    ),
    "balancer-detach-unattached": invalid(
        f"{L}/actions/detach_from_network", {"network": "{network}"}, "network"
    ),
    "balancer-disable-unattached": refused(
        f"{L}/actions/disable_public_interface", None, "load_balancer_not_attached_to_network"
    ),
    "balancer-same-type": refused(
        f"{L}/actions/change_type", {"load_balancer_type": "lb11"}, "invalid_load_balancer_type"
    ),
    "balancer-metrics": invalid(f"{L}/metrics", None, "type", "start", "end", method="GET"),
    # certificates
    "certificate-empty": invalid("/certificates", {}, "name", "certificate", "private_key"),
    "certificate-no-pem": invalid("/certificates", UPLOAD, "certificate"),
    "certificate-type": invalid("/certificates", {**UPLOAD, "type": "own"}, "type", "certificate"),
    "certificate-managed-alone": invalid(
        "/certificates", {"name": "d", "type": "managed"}, "domain_names"
    ),
    "certificate-retry-good": refused(
        "/certificates/{certificate}/actions/retry", None, "unsupported_error"
    ),
    "certificate-in-use": kept("/certificates/{certificate}", "resource_in_use", 422),
    "certificate-name-taken": taken(
        "/certificates", {"name": "c", "type": "managed", "domain_names": ["example.com"]}
    ),
    # images
    "image-system-delete": kept("/images/161547269", "unsupported_error", 422),
    "image-system-update": Row(
        method="PUT",
        path="/images/161547269",
        body={"description": "x"},
        status=422,
        code="unsupported_error",
    ),
    "image-protected": kept("/images/{image}"),
    "image-type": invalid("/images/{image}", {"type": "backup"}, "type", method="PUT"),
    "image-missing": missing("DELETE", "/images/1"),
    "image-architecture-filter": invalid(
        "/images?architecture=mips", None, "architecture", method="GET"
    ),
    # server options
    "rebuild-nothing": invalid(f"{S}/actions/rebuild", {}, "image"),
    "rebuild-unknown": invalid(f"{S}/actions/rebuild", {"image": "plan9"}, "image"),
    "rebuild-user-data": invalid(
        f"{S}/actions/rebuild", {"image": "debian-13", "user_data": "x" * 32769}, "user_data"
    ),
    "rebuild-protected": Row(
        method="POST",
        path=f"{S}/actions/rebuild",
        body={"image": "debian-13"},
        status=423,
        code="protected",
    ),
    "server-protected": kept(S),
    "type-running": refused(
        f"{S}/actions/change_type",
        {"server_type": "cx33", "upgrade_disk": True},
        "server_not_stopped",
    ),
    "type-empty": invalid(f"{OFF}/actions/change_type", {}, "server_type", "upgrade_disk"),
    "type-other-architecture": refused(
        f"{OFF}/actions/change_type",
        {"server_type": "cax11", "upgrade_disk": True},
        "invalid_server_type",
    ),
    "type-same": refused(
        f"{OFF}/actions/change_type",
        {"server_type": "cx23", "upgrade_disk": True},
        "invalid_server_type",
    ),
    "type-out-of-stock": Row(
        method="POST",
        path=f"{OFF}/actions/change_type",
        body={"server_type": "cx53", "upgrade_disk": True},
        status=412,
        code="resource_unavailable",
    ),
    "backup-image-without-backups": invalid(
        f"{S}/actions/create_image", {"type": "backup"}, "type"
    ),
    "image-of-no-type": invalid(f"{S}/actions/create_image", {"type": "app"}, "type"),
    "iso-missing": missing("POST", f"{S}/actions/attach_iso", {"iso": "plan9.iso"}),
    "iso-other-architecture": invalid(f"{S}/actions/attach_iso", {"iso": "8638"}, "iso"),
    "rescue-type": invalid(f"{S}/actions/enable_rescue", {"type": "linux32"}, "type"),
    "rescue-key-missing": missing("POST", f"{S}/actions/enable_rescue", {"ssh_keys": [1]}),
    "password-of-stopped": refused(f"{OFF}/actions/reset_password", None, "unsupported_error"),
    "pointer-foreign": invalid(
        f"{S}/actions/change_dns_ptr", {"ip": "1.2.3.4", "dns_ptr": None}, "ip"
    ),
    "metrics-kind": invalid(
        f"{S}/metrics?type=heat&start=2026-09-30T00:00:00Z&end=2026-09-30T01:00:00Z",
        None,
        "type",
        method="GET",
    ),
    "metrics-backwards": invalid(
        f"{S}/metrics?type=cpu&start=2026-09-30T01:00:00Z&end=2026-09-30T00:00:00Z",
        None,
        "end",
        method="GET",
    ),
}
