"""Which versions of Streamlit we know, and what is not guaranteed with another one."""

import re
from typing import Final

import structlog

from gateway.errors import StartupError

# The oldest version that has what we build on (an ASGI application of its own, a page without inline script), and the
# newest whose routes, messages, options and document were looked at.
FLOOR: Final = (1, 67)
KNOWN: Final = (1, 67)

# What rests on something in Streamlit that may change from one minor version to the next without notice.
NOT_GUARANTEED: Final = (
    "routes: one that is new is not served until the gateway names it; `gateway doctor` lists them",
    "messages: kinds that are new are refused, and what they are for does not work",
    "pages: if pages are declared or hashed in another way, rules by page may refuse what they should allow",
    "content security: a front end that needs more than the profile allows shows elements that stay empty",
    "options: one that is new is not hardened",
)

log = structlog.get_logger("gateway.streamlit")


def check_version(version: str) -> tuple[str, ...]:
    """What is not guaranteed with that version of Streamlit; nothing with one that we know.

    Raises:
        StartupError: it is too old, another major version, or not a version.
    """
    found = re.match(r"(\d+)\.(\d+)(?:[.\D]|$)", version)
    minor = (int(found[1]), int(found[2])) if found else (0, 0)
    if minor[0] != KNOWN[0] or minor < FLOOR:
        raise StartupError(
            f"Streamlit {version} is not supported: the gateway knows {_name(FLOOR)} to {_name(KNOWN)}",
            hint=f"install one of these: pip install 'streamlit=={_name(KNOWN)}.*'",
        )
    return NOT_GUARANTEED if minor > KNOWN else ()


def announce(not_guaranteed: tuple[str, ...]) -> None:
    """Say in the log what is not guaranteed with the installed version, if anything."""
    if not_guaranteed:
        log.warning(
            "streamlit.newer-than-known", known=_name(KNOWN), not_guaranteed=list(not_guaranteed), see="gateway doctor"
        )


def _name(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
