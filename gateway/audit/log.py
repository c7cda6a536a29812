"""structlog as the front end: of the process log on stderr, and of the record for what happens rarely.

The process log is for operators and may be lost; the record is for reviewers and may not. Everything that uvicorn and
Streamlit log goes through the same handler, once, and nothing that looks like a secret passes it.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal, NoReturn, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.audit import events
from gateway.audit.details import SECRET_NAME
from gateway.audit.inbox import Receipt
from gateway.audit.ledger import Ledger
from gateway.audit.masks import CLEAR, Masks
from gateway.audit.redact import text, uuids
from gateway.audit.stamp import stamp
from gateway.model import ANONYMOUS, PolicyRef, Principal

Format = Literal["auto", "console", "json"]

# Streamlit gives each of its loggers a handler of its own and stops it from propagating; so does uvicorn's command.
_LIBRARIES: Final = ("streamlit", "uvicorn", "websockets")
_ERASED: Final = "[erased]"
_CREDENTIAL = re.compile(
    r"(?i)\b(authorization|(?:set-)?cookie|sec-websocket-protocol|x-xsrftoken)(['\"]?\s*[:=,]\s*)[^\r\n]*"
)


class _RoutedLogger(logging.Logger):
    """A logger that takes no handlers and always propagates: a library's own handler would print every line twice."""

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802 - the name is logging's
        """Nothing, for a library's logger; as usual for any other."""
        if not _is_library(self.name):
            super().addHandler(hdlr)

    @property
    def propagate(self) -> bool:
        """True for a library's logger, whatever it has been set to."""
        return self.__dict__.get("propagate", True) or _is_library(self.name)

    @propagate.setter
    def propagate(self, value: bool) -> None:
        self.__dict__["propagate"] = value


def configure_logging(format: Format = "auto", level: str = "info") -> None:  # noqa: A002 - the setting has this name
    """Send every log of this process to stderr: for people (`console`), or as one JSON object a line (`json`).

    `auto` is console on a terminal, else json. Call it before Streamlit is imported and as often as you like.
    """
    console = sys.stderr.isatty() if format == "auto" else format == "console"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_shared(), processors=_rendering(console=console))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=False,
    )
    _take_over_libraries()  # last: structlog's LoggerFactory sets a class of its own for new loggers


def audit_logger(ledger: Ledger, actor: Principal = ANONYMOUS, masks: Masks = CLEAR) -> structlog.BoundLogger:
    """A structlog logger whose events go into the record. Its methods return the `Receipt`.

    `log.info("policy.change", revision="0008", digest="sha256:…", because="…")`. An event's name is its code; what is
    bound and passed are its details. `policy.change`, `script.error` and `admin.action` have classes of their own;
    everything else becomes an Application Lifecycle event. The actor, and facts that are named `user`, `principal`,
    `client`, `address`, `peer` or `session`, are masked as `masks` says. `durability` may be passed: `before` (default)
    or `async`.

    Raises:
        AuditUnavailable: from the methods, when the record cannot take the event.
    """
    logger = structlog.wrap_logger(
        _Sink(ledger),
        processors=[structlog.contextvars.merge_contextvars, _to_event(actor, masks)],
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return cast("structlog.BoundLogger", logger)


# --- the process log ------------------------------------------------------------------------------------------


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_secrets,
    ]


def _rendering(*, console: bool) -> list[Processor]:
    last: Processor = structlog.dev.ConsoleRenderer(colors=console and sys.stderr.isatty())
    if not console:
        last = structlog.processors.JSONRenderer(ensure_ascii=True)
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]


def _take_over_libraries() -> None:
    logging.setLoggerClass(_RoutedLogger)
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and _is_library(name):
            logger.handlers[:] = []
            # One that exists already keeps its identity, and is treated from now on like those that are made later.
            logger.__class__ = _RoutedLogger
    logging.getLogger("uvicorn.access").disabled = True  # the record says it better, and without query strings


def _is_library(name: str) -> bool:
    return name.partition(".")[0] in _LIBRARIES


# Streamlit names its sessions by UUID, and warns about them by name: the id is a credential.
def _without_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if key.startswith("_"):
            continue
        if SECRET_NAME.search(key):
            event[key] = _ERASED
        elif isinstance(value, str):
            event[key] = _printable(_CREDENTIAL.sub(rf"\1\2{_ERASED}", uuids(text(value))))
    return event


def _printable(value: str) -> str:
    # Line breaks and tabs stay: a traceback has them, and JSON escapes them. What steers a terminal does not.
    if value.isprintable():
        return value
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode("ascii")
        for char in value
    )


# --- the record -----------------------------------------------------------------------------------------------


class _Sink:
    """What stands at the end of an audit logger instead of a file."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def msg(self, event: events.Event, durability: events.Durability) -> Receipt:
        return self._ledger.append(event, durability)

    debug = info = warning = error = critical = exception = msg


def _to_event(actor: Principal, masks: Masks) -> Processor:
    def build(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> tuple[tuple[()], Mapping[str, object]]:
        code = str(event.pop("event"))
        durability = events.Durability(event.pop("durability", events.Durability.BEFORE))
        return (), {"event": _build(code, actor, event, masks), "durability": durability}

    return build


def _build(code: str, actor: Principal, facts: MutableMapping[str, Any], masks: Masks) -> events.Event:
    if not _CODE.fullmatch(code):
        _refuse(code)
    if code == "policy.change":
        before = (
            PolicyRef(facts.pop("previous_revision"), facts.pop("previous_digest"))
            if "previous_revision" in facts
            else None
        )
        return events.policy_change(
            before, PolicyRef(facts.pop("revision"), facts.pop("digest")), actor, facts, stamp(), masks
        )
    if code == "script.error":
        kept = {name: facts.get(name) for name in ("page", "request_id")}
        return events.script_error(
            str(facts["exception"]), str(facts.get("frames", "")), actor, stamp(), masks=masks, **kept
        )
    if code == "admin.action":
        operation, source = str(facts.pop("operation")), str(facts.pop("source"))
        return events.admin_action(
            operation, actor, source, facts, stamp(), succeeded=bool(facts.pop("succeeded", True)), masks=masks
        )
    return events.lifecycle(code, str(facts.pop("message", code)), facts, stamp(), masks)


_CODE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


def _refuse(code: str) -> NoReturn:
    raise ValueError(f"an event's code is words of a-z, 0-9 and _ joined by dots, such as report.approved: {code!r}")
