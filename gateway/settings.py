"""Settings of the process: addresses, files, time-outs. Who may do what is policy, and stands in `policies/`.

A flag wins over an environment variable, that over the default. `GATEWAY_<SECTION>__<KEY>` sets a key of a section,
`GATEWAY_<KEY>` one of the top level; a secret can also come from the file that `…_FILE` names. docs/settings.md has
every setting.
"""

import ipaddress
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from msgspec import Meta

from gateway.environment import SecretList, Setting, build, read, settings_of
from gateway.errors import Problem, SettingsError
from gateway.state.secrets import check_private_file

LOGO_LIMIT = 64 * 1024  # bytes: it is part of every refusal that we send
LOGO_SUFFIXES = (".svg", ".png", ".jpg", ".jpeg", ".webp")

# A description completes the sentence "write …" of a hint.
Port = Annotated[int, Meta(ge=1, le=65535, description="a whole number from 1 to 65535")]
Count = Annotated[int, Meta(ge=1, le=1_000_000, description="a whole number from 1 to 1000000")]
Seconds = Annotated[float, Meta(gt=0, le=3600, description="seconds, more than 0 and at most 3600")]
SegmentSize = Annotated[
    int, Meta(ge=1024**2, le=1024**4, description="bytes, from 1048576 (1 MiB) to 1024 ** 4 (1 TiB)")
]
SegmentAge = Annotated[float, Meta(ge=60, le=30 * 86400, description="seconds, from 60 to 2592000 (30 days)")]
Days = Annotated[int, Meta(ge=1, le=36_500, description="a whole number of days from 1 to 36500")]
HostName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9:][A-Za-z0-9.:_-]*\Z",
        max_length=253,
        description="an address or a host name; 0.0.0.0 and :: are every interface",
    ),
]
# Segments of unreserved characters (RFC 3986 §2.3) that do not begin with a dot: such a path compares without decoding.
BasePath = Annotated[
    str,
    Meta(
        pattern=r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*\Z",
        max_length=200,
        description="a path such as /tools with no slash at its end, or nothing",
    ),
]
Colour = Annotated[
    str, Meta(pattern=r"^#[0-9A-Fa-f]{6}\Z", description="# and six hexadecimal digits, such as #1f4e79")
]
Line = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+\Z",
        max_length=200,
        description="one line of at most 200 characters",
    ),
]
File = Annotated[Path, Meta(description="the path of a file")]
Directory = Annotated[Path, Meta(description="the path of a directory")]
OnFailure = Annotated[Literal["deny", "degrade"], Meta(description="deny or degrade")]
OnDamage = Annotated[Literal["refuse", "set-aside"], Meta(description="refuse or set-aside")]
PseudonymKinds = Annotated[
    tuple[Literal["user", "client", "session", "none"], ...],
    Meta(min_length=1, description="words of user, client and session, parted by commas, or none"),
]
Directories = Annotated[
    tuple[Path, ...], Meta(description="paths of directories, parted by commas; none may hold a space or a comma")
]
Peers = Annotated[
    tuple[str, ...],
    Meta(description="directories or http addresses, parted by commas; each may have a verifier key and @ before it"),
]
Witnesses = Annotated[
    tuple[str, ...], Meta(description="witnesses parted by commas, each its verifier key, @, and its http address")
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error", "critical"],
    Meta(description="debug, info, warning, error or critical"),
]
LogFormat = Annotated[Literal["auto", "console", "json"], Meta(description="auto, console or json")]


@dataclass(frozen=True, slots=True)
class Server:
    """The public listener. Times in seconds."""

    host: HostName = "127.0.0.1"
    port: Port = 8501
    base_path: BasePath = ""
    tls_certificate: File | None = None
    tls_key: File | None = None
    tls_client_ca: File | None = None
    max_connections: Count = 4096
    max_connections_per_address: Count = 256
    idle_timeout: Seconds = 10.0
    head_timeout: Seconds = 10.0
    body_timeout: Seconds = 30.0
    write_timeout: Seconds = 30.0
    keep_alive: Seconds = 5.0
    shutdown_timeout: Seconds = 10.0


@dataclass(frozen=True, slots=True)
class Ops:
    """The operations listener: health in full. Off without a port."""

    host: HostName = "127.0.0.1"
    port: Port | None = None


@dataclass(frozen=True, slots=True)
class Brand:
    """What our own pages look like, and whom they tell a visitor to ask."""

    name: Line = "Streamlit Gateway"
    logo: File | None = None
    colour: Colour = "#1f4e79"
    support: Line | None = None


@dataclass(frozen=True, slots=True)
class Assets:
    """Streamlit's front end, compressed. `dir`: where an image has brought it along; only read."""

    dir: Directory | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """`keys` seal the session cookie, newest first; empty: the ones in the state directory."""

    keys: SecretList = ()


@dataclass(frozen=True, slots=True)
class Audit:
    """The record. `ack_timeout` in seconds, `segment_size` in bytes.

    `on_failure_hold` is `on_failure` for requests that only read; None: the same. `pseudonyms` are the kinds of
    identity that stand in it masked (`none` alone: all stand in clear); their key is replaced after `pseudonym_days`.
    """

    on_failure: OnFailure = "deny"
    on_failure_hold: OnFailure | None = None
    on_damage: OnDamage = "refuse"
    ack_timeout: Seconds = 2.0
    segment_size: SegmentSize = 64 * 1024**2
    pseudonyms: PseudonymKinds = ("session",)
    pseudonym_days: Days = 90
    segment_age: SegmentAge = 86_400.0
    retention_days: Days | None = None
    anchor_directories: Directories = ()
    peers: Peers = ()
    witnesses: Witnesses = ()
    anchor_interval: Seconds = 60.0


@dataclass(frozen=True, slots=True)
class Log:
    """The process log on stderr, which is not the record. `auto` is console on a terminal, else json."""

    level: LogLevel = "info"
    format: LogFormat = "auto"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the process is told from outside, checked. Paths are as written."""

    state_dir: Directory = Path(".gateway")
    policies: Directory = Path("policies")
    script: File = Path("streamlit_app.py")
    server: Server = Server()
    ops: Ops = Ops()
    brand: Brand = Brand()
    assets: Assets = Assets()
    session: Session = Session()
    audit: Audit = Audit()
    log: Log = Log()

    @classmethod
    def load(cls, environ: Mapping[str, str], **overrides: object) -> Self:
        """The settings from an environment, and from flags that win over it: `server__port=8600`, `policies="other"`.

        An override of None is a flag that was not given. The files that settings name are opened once, to see that
        they can be used.

        Raises:
            SettingsError: with every problem: unknown variables, values that do not convert, files that cannot be
                used, settings that contradict each other.
            TypeError: an override that is not a setting.
        """
        reading = read(SETTINGS, environ, overrides)
        settings = build(cls, reading.values)
        told = {problem.place for problem in reading.problems}
        more = (Problem(reading.places[key], message, hint) for key, message, hint in _conflicts(settings))
        if problems := [*reading.problems, *(problem for problem in more if problem.place not in told)]:
            raise SettingsError(problems)
        return settings


SETTINGS: tuple[Setting, ...] = tuple(settings_of(Settings))

_Conflict = tuple[str, str, str]  # key, message, hint


def _conflicts(settings: Settings) -> Iterator[_Conflict]:
    """What is wrong although each value by itself is well-formed."""
    yield from _tls_conflicts(settings.server)
    yield from _listener_conflicts(settings.server, settings.ops)
    if "none" in settings.audit.pseudonyms and len(settings.audit.pseudonyms) > 1:
        yield "audit__pseudonyms", "none beside others", "write none alone, or leave it out"
    if settings.brand.logo is not None:
        yield from _logo_conflicts(settings.brand.logo)
    if settings.audit.peers or settings.audit.witnesses:
        yield from _anchor_conflicts(settings.audit)


def _tls_conflicts(server: Server) -> Iterator[_Conflict]:
    certificate, key, client_ca = server.tls_certificate, server.tls_key, server.tls_client_ca
    if certificate is not None and key is None:
        yield "server__tls_key", "missing beside the certificate", "name the file of the private key"
    if key is not None and certificate is None:
        yield "server__tls_certificate", "missing beside the key", "name the file of the certificate and its chain"
    if client_ca is not None and certificate is None:
        yield "server__tls_client_ca", "client certificates need TLS", "set the certificate and the key as well"
    for name, path in (("tls_certificate", certificate), ("tls_key", key), ("tls_client_ca", client_ca)):
        if path is not None and (cause := _cannot_use(path, private=name == "tls_key")):
            yield f"server__{name}", cause, "name a file that the gateway's user can read, and only it when it is a key"


def _listener_conflicts(server: Server, ops: Ops) -> Iterator[_Conflict]:
    if not _is_loopback(ops.host):
        # It tells about the process without asking who wants to know: being on the machine is the permission.
        yield (
            "ops__host",
            "not a loopback address",
            "write 127.0.0.1 or ::1: the operations listener asks nobody who they are",
        )
    if ops.port == server.port:
        yield "ops__port", "the port of the public listener", "choose another one"
    if server.max_connections_per_address > server.max_connections:
        yield (
            "server__max_connections_per_address",
            "more than the connections of all addresses together",
            f"write at most {server.max_connections}, or raise GATEWAY_SERVER__MAX_CONNECTIONS",
        )


def _logo_conflicts(logo: Path) -> Iterator[_Conflict]:
    if cause := _cannot_use(logo):
        yield "brand__logo", cause, "name an image that the gateway's user can read"
    elif logo.suffix.lower() not in LOGO_SUFFIXES:
        yield "brand__logo", f"{logo}: not a kind of image that we show", f"name a file {', '.join(LOGO_SUFFIXES)}"
    elif logo.stat().st_size > LOGO_LIMIT:
        yield (
            "brand__logo",
            f"{logo}: bigger than {LOGO_LIMIT // 1024} KiB",
            "make it smaller: every refusal carries it",
        )


def _anchor_conflicts(audit: Audit) -> Iterator[_Conflict]:
    # Here, because every command reads settings, and what reads keys takes its time.
    from gateway.audit.anchors.places import PeerPlace, WitnessPlace  # noqa: PLC0415

    for name, written, parse in (
        ("peers", audit.peers, PeerPlace.parse),
        ("witnesses", audit.witnesses, WitnessPlace.parse),
    ):
        for number, each in enumerate(written, 1):
            try:
                parse(each)
            except ValueError as error:  # it does not quote what may hold a password
                hint = "a verifier key is name+id+base64; gateway audit witness serve prints that of a witness"
                yield f"audit__{name}", f"entry {number}: {error}", hint


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # also `localhost`: what a name means is decided elsewhere


def _cannot_use(path: Path, *, private: bool = False) -> str | None:
    """Why the file cannot be used; None when it can."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return f"{path}: cannot be read: {(error.strerror or 'unknown error').lower()}"
    try:
        if private:
            check_private_file(descriptor)
        os.read(descriptor, 1)  # a directory opens, and does not read
    except ValueError as error:
        return f"{path}: {error}"
    except OSError as error:
        return f"{path}: cannot be read: {(error.strerror or 'unknown error').lower()}"
    finally:
        os.close(descriptor)
    return None
