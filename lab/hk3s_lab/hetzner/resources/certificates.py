"""Certificates: uploaded ones are read, managed ones are issued by the lab itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from hk3s_lab.hetzner import errors, listing
from hk3s_lab.hetzner.body import Body
from hk3s_lab.hetzner.call import (
    CREATED,
    NO_CONTENT,
    Answer,
    Call,
    Route,
    action_answer,
    action_view,
    timestamp,
)
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model.balancers import LoadBalancer
from hk3s_lab.hetzner.model.records import Action, Certificate
from hk3s_lab.hetzner.model.storage_effects import CERTIFICATE_LIFE
from hk3s_lab.hetzner.resources.kind import Kind

_TYPES = ("uploaded", "managed")
_SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Read:
    """What an uploaded certificate says."""

    domain_names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str


def create(call: Call) -> Answer:
    """Upload a certificate, or have one issued."""
    body = call.body
    name, labels = body.name(required=True), body.labels() or {}
    kind = body.text("type", choices=_TYPES) or "uploaded"
    pem, read, domains = "", None, body.texts("domain_names")
    if kind == "managed":
        if not domains:
            body.note("domain_names", "is required")
    else:
        pem, read = _uploaded(body)
    body.check()
    KIND.check_new(call, name)
    known = call.project.certificates.values()
    if read is not None and any(c.fingerprint == read.fingerprint for c in known):
        raise errors.not_unique("certificate", "the certificate already exists")
    made = Certificate(
        id=call.world.new_id(),
        name=name,
        created=call.now,
        labels=labels,
        type="managed" if kind == "managed" else "uploaded",
        domain_names=read.domain_names if read else tuple(dict.fromkeys(domains)),
        issuance="pending" if kind == "managed" else None,
    )
    if read is not None:
        made = replace(
            made,
            certificate=pem,
            fingerprint=read.fingerprint,
            not_valid_before=read.not_before,
            not_valid_after=read.not_after,
        )
    KIND.add(call, made)
    answer: dict[str, Any] = {"certificate": view(call, made), "action": None}
    if kind == "managed":
        action = _start_issuing(call, made, "create_certificate")
        answer["action"] = action_view(action, call.world.clock.monotonic())
    return Answer(CREATED, answer)


def list_all(call: Call) -> Answer:
    """List the certificates."""
    kinds = listing.choices(call, "type", _TYPES)
    return KIND.list(call, lambda certificate: not kinds or certificate.type in kinds)


def delete(call: Call) -> Answer:
    """Delete a certificate that no load balancer uses."""
    certificate = KIND.free(call)
    if _users(call, certificate.id):
        raise ApiError("resource_in_use", "the certificate is used by a load balancer")
    del call.project.certificates[certificate.id]
    return Answer(NO_CONTENT)


def retry(call: Call) -> Answer:
    """Issue a managed certificate again whose issuance failed."""
    certificate = KIND.free(call)
    if certificate.issuance != "failed":
        raise ApiError("unsupported_error", "only failed managed certificates can be retried")
    pending = replace(certificate, issuance="pending", problem=None)
    call.project.certificates[certificate.id] = pending
    return action_answer(call, _start_issuing(call, pending, "issue_certificate"))


def view(call: Call, certificate: Certificate) -> dict[str, Any]:
    """Return the certificate as the API shows it."""
    before, after = certificate.not_valid_before, certificate.not_valid_after
    return {
        "id": certificate.id,
        "name": certificate.name,
        "labels": dict(certificate.labels),
        "type": certificate.type,
        "certificate": certificate.certificate,
        "created": timestamp(certificate.created),
        "not_valid_before": timestamp(before) if before else None,
        "not_valid_after": timestamp(after) if after else None,
        "domain_names": list(certificate.domain_names),
        "fingerprint": certificate.fingerprint,
        "status": _status(certificate),
        "used_by": [
            {"id": balancer.id, "type": "load_balancer"}
            for balancer in _users(call, certificate.id)
        ],
    }


def _status(certificate: Certificate) -> dict[str, Any] | None:
    if certificate.issuance is None:
        return None
    problem = certificate.problem
    return {
        "issuance": certificate.issuance,
        "renewal": "scheduled" if certificate.issuance == "completed" else "unavailable",
        "error": {"code": problem.code, "message": problem.message} if problem else None,
    }


def _users(call: Call, number: int) -> list[LoadBalancer]:
    return [
        balancer
        for balancer in call.project.load_balancers.values()
        for service in balancer.services
        if number in service.get("http", {}).get("certificates", ())
    ]


def _uploaded(body: Body) -> tuple[str, _Read | None]:
    pem, key = body.text("certificate", required=True), body.text("private_key", required=True)
    if not pem or not key:
        return pem, None
    try:
        chain = x509.load_pem_x509_certificates(pem.encode())
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        body.note("certificate", "certificate and private_key must be valid PEM")
        return pem, None
    if _public_bytes(private.public_key()) != _public_bytes(chain[0].public_key()):
        body.note("private_key", "does not belong to the certificate")
        return pem, None
    return pem, _read(chain[0])


def _public_bytes(key: Any) -> bytes:  # noqa: ANN401 - any of the library's key types
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_bytes(serialization.Encoding.DER, form))


def _read(certificate: x509.Certificate) -> _Read:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        domains = tuple(extension.value.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        domains = tuple(str(attribute.value) for attribute in found)
    digest = certificate.fingerprint(hashes.SHA256())
    return _Read(
        domains,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        ":".join(f"{octet:02x}" for octet in digest),
    )


def _start_issuing(call: Call, certificate: Certificate, command: str) -> Action:
    seed = call.world.chances.secrets.randbytes(_SEED_BYTES)
    issued = _issue(certificate.domain_names, seed, call.now)
    arguments = {
        "pem": issued.public_bytes(serialization.Encoding.PEM).decode(),
        "fingerprint": _read(issued).fingerprint,
    }
    return call.start(command, [("certificate", certificate.id)], arguments=arguments)


def _issue(domains: Sequence[str], seed: bytes, now: datetime) -> x509.Certificate:
    """Sign a certificate with a key of its own: the lab is nobody's authority."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hk3s-lab")])
    names = x509.SubjectAlternativeName([x509.DNSName(_ascii(domain)) for domain in domains])
    serial = int.from_bytes(seed[:8], "big") | 1
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), serial)
        .not_valid_before(now)
        .not_valid_after(now + CERTIFICATE_LIFE)
        .add_extension(names, critical=False)
    )
    return builder.sign(key, None)


def _ascii(domain: str) -> str:
    return domain.encode("ascii", errors="replace").decode()


KIND = Kind(singular="certificate", table=lambda project: project.certificates, view=view)
ROUTES = (
    *KIND.routes(create=create, delete=delete, list_all=list_all),
    Route("POST", "/certificates/{id}/actions/retry", retry),
)
