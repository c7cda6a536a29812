"""What is wrong with the installed Streamlit, before anything is served with it.

Changes options of the process: for a command, not for a process that serves.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import streamlit as st
from streamlit import config, file_util
from streamlit.proto.BackMsg_pb2 import BackMsg

from gateway import findings
from gateway.errors import StartupError
from gateway.findings import Finding
from gateway.policy.language import MESSAGES
from gateway.streamlit.document import prepare
from gateway.streamlit.navigation import Declared, read_declared
from gateway.streamlit.options import HARDENED, harden, verify
from gateway.streamlit.routes import Found, compare, installed_routes
from gateway.streamlit.versions import check_version

_MIB: Final = 1024 * 1024


def installed_version() -> str:
    """The version of the installed Streamlit, as it says itself."""
    return st.__version__


def check_installed(script: Path | None) -> Iterator[Finding]:
    """Everything that the installed Streamlit has or lacks. `script` makes the application whose routes are walked."""
    for check in (_version, _options, _document, _messages):
        yield from check()
    yield from _routes(script or Path(__file__))


def check_script(script: Path) -> Declared | Finding:
    """The pages that a script declares, or why it cannot be used."""
    try:
        return read_declared(script)
    except SyntaxError as error:
        message = f"line {error.lineno}: {error.msg}"
    except (OSError, ValueError) as error:
        message = str(getattr(error, "strerror", None) or error).lower()
    return Finding(findings.SCRIPT_INVALID, str(script), message, "name a Streamlit script: gateway doctor tool.py")


def _version() -> Iterator[Finding]:
    place = f"streamlit {st.__version__}"
    try:
        not_guaranteed = check_version(st.__version__)
    except StartupError as error:
        yield Finding(findings.VERSION_UNSUPPORTED, place, str(error), error.hint or "")
        return
    if not_guaranteed:
        message = "newer than what the gateway knows; not guaranteed: " + "; ".join(not_guaranteed)
        yield Finding(
            findings.VERSION_UNKNOWN, place, message, "upgrade the gateway, or run the tool's tests against it"
        )


def _routes(script: Path) -> Iterator[Finding]:
    for route in compare(installed_routes(script)):
        message = f"Streamlit {st.__version__} serves it, and the gateway does not know it: it is a 404"
        yield Finding(findings.UNKNOWN_ROUTE, _written(route), message, "upgrade the gateway")


def _written(route: Found) -> str:
    return f"{route.path} ({', '.join(route.methods) or route.protocol})"


def _options() -> Iterator[Finding]:
    unknown = [name for name in HARDENED if not _knows(name)]
    for name in unknown:
        message = f"the installed Streamlit has no such option; it is set so that {HARDENED[name].because}"
        yield Finding(findings.OPTION_MISSING, name, message, "install a version of Streamlit that the gateway knows")
    if unknown:
        return
    try:
        verify(
            harden(
                base_path="",
                upload_bytes=_MIB,
                message_bytes=_MIB,
                cookie_secret="",
                agent_api=False,
                script_health=False,
                reload=False,
            )
        )
    except StartupError as error:
        yield Finding(findings.OPTION_MISSING, "options", str(error), error.hint or "")


def _knows(name: str) -> bool:
    try:
        config.get_option(name)
    except Exception:  # Streamlit says it with a class that has changed before
        return False
    return True


def _document() -> Iterator[Finding]:
    path = Path(file_util.get_static_dir()) / "index.html"
    yield from _failed(findings.DOCUMENT_UNKNOWN, str(path), lambda: prepare(path.read_text("utf-8")))


def _failed(kind: findings.Kind, place: str, act: Callable[[], object]) -> Iterator[Finding]:
    try:
        act()
    except StartupError as error:
        yield Finding(kind, place, str(error), error.hint or "")
    except (OSError, ValueError) as error:
        yield Finding(kind, place, str(error).lower(), "install Streamlit again")


def message_kinds() -> frozenset[str]:
    """The kinds of messages that the installed Streamlit takes from a browser, named as the guard names them."""
    fields = BackMsg.DESCRIPTOR.oneofs_by_name["type"].fields
    # Several operations share one message, and are told apart by their payload.
    shared = {field.name: field.message_type.oneofs_by_name for field in fields if field.message_type is not None}
    return frozenset(
        inner.name
        for field in fields
        for inner in (shared[field.name]["payload"].fields if "payload" in shared.get(field.name, ()) else (field,))
    )


def _messages() -> Iterator[Finding]:
    for kind in sorted(message_kinds() - set(MESSAGES)):
        message = "the browser can send it, and the policy language has no word for it"
        yield Finding(findings.MESSAGE_UNKNOWN, kind, message, "upgrade the gateway")
