"""The sections of a policy besides networks, rules and tests.

Each function takes the root table and gives its part of the model.
"""

from datetime import timedelta
from typing import Literal, cast

from gateway.model import (
    ContentSecurity,
    Hosts,
    Hsts,
    Limits,
    Proxies,
    Rate,
    ScriptLimits,
    Sessions,
    Sources,
    StreamlitOptions,
    Transport,
)
from gateway.policy.hosts import host_pattern, origin, outside, trusted_proxy
from gateway.policy.language import (
    ADDRESS_HEADERS,
    ADDRESS_LISTS,
    KEYS,
    MESSAGES,
    PRELOAD_DAYS,
    PROFILES,
    RELAXATIONS,
)
from gateway.policy.reader import Table
from gateway.policy.values import component, duration, extension, flag, one_of, page, rate, size, whole

KB, MB, GB = 10**3, 10**6, 10**9
_DEFAULT_HSTS = Hsts()


def read_hosts(root: Table) -> Hosts:
    """The hosts we answer to. Mandatory: without it, nobody could be answered."""
    table = root.table("hosts", KEYS["hosts"])
    allowed = table.items("allowed", host_pattern)
    if allowed is None:
        table.problem("allowed", "is missing", "list the host names under which people open the tool")
    return Hosts(allowed or (), table.items("origins", origin, may_be_empty=True) or ())


def read_proxies(root: Table) -> Proxies:
    """Whom we believe about the client's address, and in which header."""
    table = root.table("proxies", KEYS["proxies"])
    proxies = Proxies(
        trusted=table.items("trusted", trusted_proxy, may_be_empty=True) or (),
        client_address=table.get("client_address", one_of(ADDRESS_HEADERS, "header for the client's address"), "none"),
        hops=table.get("hops", whole(1, 16), None),
    )
    if proxies.client_address != "none" and not table.raw("trusted"):
        hint = "list your proxies in trusted, or set client_address to none"
        table.problem("client_address", "is believed from nobody, since no proxy is trusted", hint)
    if proxies.hops is not None and proxies.client_address not in ADDRESS_LISTS:
        table.problem("hops", f"needs a header that lists the proxies: {' or '.join(ADDRESS_LISTS)}")
    return proxies


def read_transport(root: Table) -> Transport:
    """Whether plain http is refused, and what browsers are told to remember (RFC 6797)."""
    table = root.table("transport", KEYS["transport"])
    https = table.get("https", one_of(("required", "optional"), "choice"), "required")
    return Transport(cast("Literal['required', 'optional']", https), _read_hsts(table))


def _read_hsts(transport: Table) -> Hsts | None:
    if transport.raw("hsts") is False:
        return None
    table = transport.table("hsts", KEYS["transport.hsts"])
    hsts = Hsts(
        max_age=table.get("max_age", duration(timedelta(0), timedelta(days=3650)), _DEFAULT_HSTS.max_age),
        include_subdomains=table.get("include_subdomains", flag, _DEFAULT_HSTS.include_subdomains),
        preload=table.get("preload", flag, _DEFAULT_HSTS.preload),
    )
    if hsts.preload and not (hsts.include_subdomains and hsts.max_age >= timedelta(days=PRELOAD_DAYS)):
        table.problem("preload", f"needs include_subdomains and a max_age of {PRELOAD_DAYS}d at least")
    return hsts


def read_content_security(root: Table) -> ContentSecurity:
    """The Content-Security-Policy by the names of tested profiles, and the hosts outside that documents may use."""
    table = root.table("content_security", KEYS["content_security"])
    profile = one_of(PROFILES, "profile")
    policy = ContentSecurity(
        profile=table.get("profile", profile, PROFILES[0]),
        add=table.items("add", one_of(RELAXATIONS, "relaxation"), may_be_empty=True) or (),
        report_only=table.get("report_only", profile, None),
        external=_read_sources(table, "external"),
        embedded=_read_sources(table, "embedded"),
        trusted_components=table.items("trusted_components", component, may_be_empty=True) or (),
        frame_ancestors=table.items("frame_ancestors", origin, may_be_empty=True) or (),
    )
    if policy.trusted_components and "components" not in policy.add:
        table.problem("trusted_components", "means nothing without the relaxation", 'write add = ["components"]')
    return policy


def _read_sources(policy: Table, key: str) -> Sources:
    kinds = KEYS[f"content_security.{key}"]
    table = policy.table(key, kinds)
    return Sources(**{kind: table.items(kind, outside, may_be_empty=True) or () for kind in kinds})


def read_sessions(root: Table) -> Sessions:
    """When sessions end."""
    table = root.table("sessions", KEYS["sessions"])
    sessions = Sessions(
        idle=table.get("idle", duration(timedelta(minutes=1), timedelta(days=7)), Sessions().idle),
        lifetime=table.get("lifetime", duration(timedelta(minutes=1), timedelta(days=30)), Sessions().lifetime),
        concurrent=table.get("concurrent", whole(1, 1000), None),
    )
    if sessions.idle > sessions.lifetime:
        table.problem("idle", "is longer than the lifetime, so it would never end a session")
    return sessions


def read_limits(root: Table) -> Limits:
    """Sizes in bytes, counts and rates."""
    table = root.table("limits", KEYS["limits"])
    default = Limits()
    headers = table.table("headers", KEYS["limits.headers"])
    upload = table.table("upload", KEYS["limits.upload"])
    largest = upload.get("max", size(0, 10 * GB), default.upload)
    sockets = table.table("sockets", KEYS["limits.sockets"])
    scripts = table.table("scripts", KEYS["limits.scripts"])
    return Limits(
        target=table.get("target", size(256, 64 * KB), default.target),
        header_count=headers.get("count", whole(8, 1000), default.header_count),
        header_bytes=headers.get("size", size(1 * KB, 1 * MB), default.header_bytes),
        body=table.get("body", size(1 * KB, 1 * GB), default.body),
        message=table.get("message", size(1 * KB, 200 * MB), default.message),
        upload=largest,
        upload_types=upload.items("types", extension) or (),
        upload_files=upload.get("files", whole(1, 1000), default.upload_files),
        upload_total=_read_upload_total(upload, largest),
        requests=_read_requests(table),
        messages=_read_messages(table, default.messages),
        sockets_per_session=sockets.get("per_session", whole(1, 100_000), default.sockets_per_session),
        sockets_per_client=sockets.get("per_client", whole(1, 100_000), None),
        sockets_total=sockets.get("total", whole(1, 100_000), default.sockets_total),
        sockets_new=_read_new(sockets, default.sockets_new),
        scripts=ScriptLimits(at_once=scripts.get("at_once", whole(1, 1000), None)),
    )


def _read_upload_total(upload: Table, largest: int) -> int:
    """All files of one Streamlit session together: room for one of the largest size at least."""
    total = upload.get("total", size(0, 100 * GB), max(Limits().upload_total, largest))
    if total < largest:
        upload.problem("total", "is smaller than max, so a file of that size would never pass")
    return total


def _read_requests(limits: Table) -> Rate | None:
    if not limits.has("requests"):
        return None
    table = limits.table("requests", KEYS["limits.requests"])
    count, period = table.need("rate", rate, (1, 1.0))
    per = table.get("per", one_of(("session", "client"), "choice"), "session")
    burst = table.get("burst", whole(1, 1_000_000), count)
    return Rate(count, period, burst, cast("Literal['session', 'client']", per))


def _read_messages(limits: Table, default: Rate) -> Rate:
    if not limits.has("messages"):
        return default
    table = limits.table("messages", KEYS["limits.messages"])
    count, period = table.need("rate", rate, (1, 1.0))
    return Rate(count, period, table.get("burst", whole(1, 1_000_000), count))


def _read_new(sockets: Table, default: Rate) -> Rate:
    if not sockets.has("new"):
        return default
    count, period = sockets.need("new", rate, (1, 1.0))
    return Rate(count, period, count)


def read_streamlit(root: Table) -> StreamlitOptions:
    """What clients may say inside Streamlit's socket, and which of its routes exist that are not for visitors."""
    table = root.table("streamlit", KEYS["streamlit"])
    messages = table.items("messages", one_of(MESSAGES, "message kind"))
    return StreamlitOptions(
        messages=StreamlitOptions().messages if messages is None else messages,
        pages=table.items("pages", page, may_be_empty=True) or (),
        agent_api=_read_switch(table, "agent_api"),
        metrics=_read_switch(table, "metrics"),
        script_health=_read_switch(table, "script_health"),
    )


def _read_switch(table: Table, key: str) -> Literal["deny", "allow"]:
    return cast("Literal['deny', 'allow']", table.get(key, one_of(("deny", "allow"), "choice"), "deny"))
