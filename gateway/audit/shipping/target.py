"""What `--to` says: which receiver, how it is reached, and what it must show.

otlp+https://collector.example/v1/logs      otlp+http://127.0.0.1:4318/v1/logs
syslog+tls://logs.example:6514              syslog+tcp-insecure://127.0.0.1:514
drop:/mnt/archive                           stdout
"""

import ipaddress
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from gateway.audit.shipping.connection import connector
from gateway.audit.shipping.drop import DropSink
from gateway.audit.shipping.lines import LinesSink
from gateway.audit.shipping.sink import Sink
from gateway.audit.shipping.syslog import LONGEST, SyslogSink
from gateway.errors import Problem, SettingsError
from gateway.state.secrets import check_private_file, read_secret_file

_SCHEMES: Final = ("otlp+https", "otlp+http", "syslog+tls", "syslog+tcp-insecure")
_PORTS: Final = {"syslog+tls": 6514, "syslog+tcp-insecure": 514}
_EXPECTED: Final = "write otlp+https://…, syslog+tls://…, drop:/directory or stdout"
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_OURS: Final = ("content-type", "content-encoding", "content-length", "transfer-encoding", "host")

Format = Literal["ocsf", "cef"]


@dataclass(frozen=True, slots=True)
class Trust:
    """Files of TLS: the authority that the receiver's certificate must come from, and our own certificate and key."""

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class SyslogOptions:
    """How syslog is spoken. `overlap` in seconds, `longest` message in bytes; `trust_any_end`: see `connector`."""

    format: Format = "ocsf"
    overlap: float = 60.0
    longest: int = LONGEST
    trust_any_end: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A receiver, checked but not yet reached. `label` names it without secrets; `name` is for its cursor."""

    kind: Literal["otlp", "syslog", "drop", "stdout"]
    label: str
    name: str
    host: str = ""
    port: int = 0
    directory: Path = Path()
    context: ssl.SSLContext | None = field(default=None, compare=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def sink(self, syslog: SyslogOptions) -> Sink:
        """The receiver, to be reached when something is sent."""
        match self.kind:
            case "otlp":
                from gateway.audit.shipping.otlp import OtlpSink  # noqa: PLC0415 - protobuf takes a tenth of a second

                return OtlpSink(self.label.removeprefix("otlp+"), dict(self.headers), self.context)
            case "syslog":
                connect = connector(self.host, self.port, self.context, trust_any_end=syslog.trust_any_end)
                return SyslogSink(connect, syslog.format, overlap=syslog.overlap, longest=syslog.longest)
            case "drop":
                return DropSink(self.directory)
            case "stdout":
                return LinesSink()


def parse_target(to: str, trust: Trust, header_file: Path | None = None) -> Target:
    """The receiver that `to` names.

    Raises:
        SettingsError: with every problem of the address and of the files.
    """
    if to == "stdout":
        return _simple(Target("stdout", "stdout", "stdout"), trust, header_file)
    if to.startswith("drop:"):
        directory = Path(to.removeprefix("drop:"))
        if not directory.is_absolute():
            raise SettingsError([Problem("--to", f"{to}: not an absolute path", "write drop:/mnt/archive")])
        return _simple(Target("drop", to, _name(f"drop-{directory.name}"), directory=directory), trust, header_file)
    return _network(to, trust, header_file)


def _simple(target: Target, trust: Trust, header_file: Path | None) -> Target:
    given = (header_file, trust.authority, trust.certificate, trust.key)
    if any(given):
        flags = ("--header-file", "--ca", "--client-certificate", "--client-key")
        raise SettingsError(
            [
                Problem(flag, f"nothing to do with {target.kind}")
                for flag, file in zip(flags, given, strict=True)
                if file
            ]
        )
    return target


def _network(to: str, trust: Trust, header_file: Path | None) -> Target:
    url, port = _address(to)
    secure = url.scheme in {"otlp+https", "syslog+tls"}
    kind: Literal["otlp", "syslog"] = "otlp" if url.scheme.startswith("otlp") else "syslog"
    host = url.hostname or ""
    problems = [*_url_problems(url, kind), *_file_problems(trust, header_file, kind, secure=secure)]
    headers: tuple[tuple[str, str], ...] = ()
    try:
        headers = _headers(header_file) if header_file else ()
    except ValueError as error:
        problems.append(Problem("--header-file", f"{header_file}: {error}", "write Name: value, one a line"))
    if headers and not secure and not _is_loopback(host):
        problems.append(Problem("--header-file", "would be sent in the clear", "write otlp+https://"))
    if problems:
        raise SettingsError(problems)
    name = _name(f"{kind}-{host}-{port}")
    context = _context(trust) if secure else None
    return Target(kind, to, name, host, port, context=context, headers=headers)


def _address(to: str) -> tuple[SplitResult, int]:
    try:
        url = urlsplit(to)
        port = url.port or _PORTS.get(url.scheme) or (443 if url.scheme == "otlp+https" else 80)
    except ValueError as error:
        raise SettingsError([Problem("--to", f"not an address: {error}", _EXPECTED)]) from None
    if url.scheme not in _SCHEMES or not url.hostname:
        raise SettingsError([Problem("--to", "not an address of a receiver", _EXPECTED)])
    return url, port


def _url_problems(url: SplitResult, kind: str) -> Iterator[Problem]:
    if url.username is not None or url.password is not None:
        yield Problem("--to", "a password in an address is seen by every user", "write it into a --header-file")
    if url.query or url.fragment:
        yield Problem("--to", "an address with ? or #", "write secrets into a --header-file, and nothing else behind ?")
    if kind == "otlp" and url.path in {"", "/"}:
        yield Problem("--to", "the path is missing", "write the whole address, mostly with /v1/logs at its end")
    if kind == "syslog" and url.path not in {"", "/"}:
        yield Problem("--to", f"{url.path}: syslog has no paths", "write host and port only")


def _file_problems(trust: Trust, header_file: Path | None, kind: str, *, secure: bool) -> Iterator[Problem]:
    named = (("--ca", trust.authority), ("--client-certificate", trust.certificate), ("--client-key", trust.key))
    for flag, path in named:
        if path is None:
            continue
        if not secure:
            yield Problem(flag, "the address has no TLS", "write otlp+https:// or syslog+tls://")
        elif (cause := _cannot_use(path, private=flag == "--client-key")) is not None:
            yield Problem(flag, f"{path}: {cause}", "name a file in PEM that we can read, a key that others cannot")
    if (trust.certificate is None) != (trust.key is None):
        yield Problem("--client-certificate", "a certificate and its key come together", "name both files")
    if header_file is not None and kind == "syslog":
        yield Problem("--header-file", "syslog has no headers", "leave it out")


def _cannot_use(path: Path, *, private: bool) -> str | None:
    try:
        with path.open("rb") as file:
            if private:
                check_private_file(file.fileno())
            file.read(1)
    except OSError as error:
        return f"cannot be read: {(error.strerror or 'unknown error').lower()}"
    except ValueError as error:
        return str(error)
    return None


def _context(trust: Trust) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=trust.authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if trust.certificate is not None:
            # An empty password, since OpenSSL would ask at the terminal for one.
            context.load_cert_chain(trust.certificate, trust.key, password="")
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error.strerror or "not valid"
        cause = f"not usable for TLS: {str(reason).lower().replace('_', ' ')}"
        flag = "--ca" if trust.certificate is None else "--client-certificate"
        raise SettingsError([Problem(flag, cause, "files in PEM, the key without a password")]) from None
    return context


def _headers(path: Path) -> tuple[tuple[str, str], ...]:
    """The headers in a private file.

    Raises:
        ValueError: it cannot be used. Names the line, never what stands there.
    """
    headers = []
    for number, line in enumerate(read_secret_file(path).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, value = line.partition(":")
        value = value.strip()
        if not colon or not _FIELD_NAME.fullmatch(name) or not value or not (value.isascii() and value.isprintable()):
            raise ValueError(f"line {number} is not a header")
        if name.lower() in _OURS:
            raise ValueError(f"line {number}: {name} is set by us")
        headers.append((name, value))
    return tuple(headers)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _name(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-.")[:63] or "sink"
