import pytest
import requests
from hcloud import APIException

from hetzner.conftest import TOKEN
from hetzner.scripted import Scripted
from hk3s_hetzner import domain, errors
from hk3s_hetzner.client import Hetzner
from hk3s_hetzner.redaction import MASK, Redactor

REDACTOR = Redactor(TOKEN)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (412, "resource_unavailable", errors.CapacityUnavailable),
        (422, "placement_error", errors.CapacityUnavailable),
        (422, "no_space_left_in_location", errors.CapacityUnavailable),
        (403, "maintenance", errors.CapacityUnavailable),
        (403, "resource_limit_exceeded", errors.QuotaExceeded),
        (422, "service_error", errors.Transient),
        (423, "locked", errors.Transient),
        (500, "server_error", errors.Transient),
        (503, "unavailable", errors.Transient),
        (409, "uniqueness_error", errors.AlreadyExists),
        (404, "not_found", errors.NotFound),
        (422, "resource_in_use", errors.InUse),
        (422, "invalid_input", errors.InvalidRequest),
        (400, "json_error", errors.InvalidRequest),
        (423, "protected", errors.InvalidRequest),
        (401, "unauthorized", errors.AccessDenied),
        (403, "forbidden", errors.TokenReadOnly),
        (403, "token_readonly", errors.TokenReadOnly),
        (418, "made_of_tea", errors.Unknown),
    ],
)
async def test_a_refusal_becomes_its_kind(
    api: Scripted, hetzner: Hetzner, status: int, code: str, kind: type[errors.HetznerError]
) -> None:
    api.refuse("POST", "/servers/42/actions/poweron", status, code)

    with pytest.raises(errors.HetznerError) as caught:
        await hetzner.power_on(42)

    assert type(caught.value) is kind
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (429, "rate_limit_exceeded", errors.RateLimited),
        (409, "conflict", errors.Transient),
        (504, "timeout", errors.Transient),
        (502, "bad_gateway", errors.Transient),
    ],
)
async def test_the_sdk_tries_six_times_before_the_kind_is_raised(
    api: Scripted,
    hetzner: Hetzner,
    sdk_pauses: list[float],
    status: int,
    code: str,
    kind: type[errors.HetznerError],
) -> None:
    for _ in range(6):
        api.refuse("POST", "/servers/42/actions/poweron", status, code)

    with pytest.raises(kind):
        await hetzner.power_on(42)

    assert len(sdk_pauses) == 5


async def test_a_quota_names_its_limit(api: Scripted, hetzner: Hetzner) -> None:
    limits = [{"name": "dedicated_cores"}]
    api.refuse("DELETE", "/servers/42", 403, "resource_limit_exceeded", limits=limits)

    with pytest.raises(errors.QuotaExceeded) as caught:
        await hetzner.delete_server(42)

    assert caught.value.limit_name == "dedicated_cores"


async def test_invalid_input_names_its_fields(api: Scripted, hetzner: Hetzner) -> None:
    fields = [{"name": "user_data", "messages": ["too long", "really"]}]
    api.refuse("DELETE", "/servers/42", 422, "invalid_input", fields=fields)

    with pytest.raises(errors.InvalidRequest) as caught:
        await hetzner.delete_server(42)

    assert caught.value.fields == ("user_data: too long, really",)


async def test_an_answer_without_json_is_judged_by_its_status(
    api: Scripted, hetzner: Hetzner
) -> None:
    api.expect("GET", "/locations", status=503)

    with pytest.raises(errors.Transient) as caught:
        await hetzner.list_locations()

    assert caught.value.code == "503"


async def test_a_refused_connection_is_transient(api: Scripted) -> None:
    client = Hetzner(TOKEN, endpoint="http://127.0.0.1:1/v1", workers=1)

    with pytest.raises(errors.Transient) as caught:
        await client.list_locations()
    await client.close()

    assert caught.value.code == "network"


@pytest.mark.parametrize(
    "quoted",
    [TOKEN, TOKEN[:32], TOKEN[32:], TOKEN[10:18], f"Bearer {TOKEN[:8]}..."],
    ids=["whole", "first half", "second half", "eight inside", "prefix"],
)
async def test_no_piece_of_the_token_shows(api: Scripted, hetzner: Hetzner, quoted: str) -> None:
    for _ in range(6):
        api.refuse(
            "GET",
            "/locations",
            429,
            "rate_limit_exceeded",
            message=f"limit of 3600 requests per hour reached for token {quoted}",
            content=[quoted],
        )

    with pytest.raises(errors.RateLimited) as caught:
        await hetzner.list_locations()

    error = caught.value
    shown = f"{error} {error.args} {error.message} {dict(error.details)}"
    assert MASK in shown
    assert not any(TOKEN[i : i + 8] in shown for i in range(len(TOKEN) - 7))
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_seven_characters_of_the_token_are_no_secret() -> None:
    assert REDACTOR.text(f"starts with {TOKEN[:7]}") == f"starts with {TOKEN[:7]}"


def test_a_short_secret_is_masked_whole() -> None:
    assert Redactor("abc").text("xabcx ab") == f"x{MASK}x ab"


def test_values_are_masked_at_any_depth() -> None:
    value = {"a": [{TOKEN[:20]: 1}, (TOKEN, 2)], "b": TOKEN.encode()}

    assert REDACTOR.value(value) == {"a": [{MASK: 1}, [MASK, 2]], "b": MASK}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("placement_error", errors.CapacityUnavailable),
        ("resource_unavailable", errors.CapacityUnavailable),
        ("resource_limit_exceeded", errors.QuotaExceeded),
        ("action_failed", errors.Transient),
        (None, errors.Transient),
        ("made_of_tea", errors.Unknown),
    ],
)
def test_a_failed_action_has_the_kinds_of_a_refusal(
    code: str | None, kind: type[errors.HetznerError]
) -> None:
    failed = domain.Action(
        id=7,
        command="create_server",
        status="error",
        progress=0,
        error_code=code,
        error_message=f"quoting {TOKEN[:30]}",
        resources=(),
    )

    error = errors.translate_action(failed, REDACTOR)

    assert type(error) is kind
    assert (error.action_id, error.message) == (7, f"create_server: quoting {MASK}")


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (requests.ConnectTimeout("slow"), errors.Transient, "timeout"),
        (requests.ConnectionError("refused"), errors.Transient, "network"),
        (APIException(401, "Unauthorized", {}), errors.AccessDenied, "401"),
        (APIException(499, "odd", {}), errors.Unknown, "499"),
        (RuntimeError("odd"), errors.Unknown, "RuntimeError"),
    ],
)
def test_every_exception_has_a_kind(
    error: Exception, kind: type[errors.HetznerError], code: str
) -> None:
    translated = errors.translate(error, REDACTOR)

    assert (type(translated), translated.code) == (kind, code)
