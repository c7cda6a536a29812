"""Streamlit's own options, set hard: what an internal tool behind the gateway must not be talked out of.

Streamlit reads `config.toml`, environment variables and flags; these values win over all of them. `verify` looks again
once the runtime has started, since a second parse of the configuration would bring the old values back.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from streamlit import config

from gateway.errors import StartupError

_STRICTER_TOOLBAR = "minimal"


@dataclass(frozen=True, slots=True)
class Hardened:
    """One option: its value, and what goes wrong with another."""

    value: object
    because: str


HARDENED: Mapping[str, Hardened] = {
    "browser.gatherUsageStats": Hardened(False, "every page would report to a host outside"),
    "client.allowedOrigins": Hardened([], "pages of Streamlit's cloud could frame the tool and command it"),
    "client.showErrorDetails": Hardened("none", "a traceback shows code, paths and data to every visitor"),
    "client.showErrorLinks": Hardened("false", "an error would offer its text to search engines and chat bots"),
    "client.toolbarMode": Hardened("viewer", "developer entries of the menu, such as clearing everybody's cache"),
    "global.developmentMode": Hardened(False, "debug messages could end the runtime"),
    "server.allowRunOnSave": Hardened(False, "any visitor could switch it on for everybody"),
    "server.enableAgentApi": Hardened(False, "the tool could be driven without cookie or sign-in"),
    "server.enableCORS": Hardened(True, "despite its name: True is Streamlit's protection against foreign origins"),
    "server.enableXsrfProtection": Hardened(True, "uploads would need no token"),
    "server.headless": Hardened(True, "the server would open a browser, and write files for loopback visitors"),
    "server.runOnSave": Hardened(False, "a saved file would run for every visitor"),
    "server.scriptHealthCheckEnabled": Hardened(False, "anybody could run the script by asking for a URL"),
    "server.showEmailPrompt": Hardened(False, "a first start would wait for an answer on the terminal"),
    "server.trustedUserHeaders": Hardened({}, "a header from outside would name the user"),
}


def harden(*, base_path: str, upload_bytes: int, message_bytes: int, cookie_secret: str, reload: bool) -> None:
    """Set every hardened option, and those that follow from settings and policy. Sizes in bytes; Streamlit counts MiB."""
    toolbar = config.get_option("client.toolbarMode")
    for name, option in HARDENED.items():
        config.set_option(name, option.value, "streamlit-gateway")
    if toolbar == _STRICTER_TOOLBAR:
        config.set_option("client.toolbarMode", toolbar, "streamlit-gateway")
    for name, value in {
        "server.baseUrlPath": base_path.strip("/"),
        "server.cookieSecret": cookie_secret,
        "server.fileWatcherType": "auto" if reload else "none",
        "server.maxUploadSize": max(1, -(-upload_bytes // (1024 * 1024))),
        "server.maxWidgetStateSize": max(1, -(-message_bytes // (1024 * 1024))),
    }.items():
        config.set_option(name, value, "streamlit-gateway")


def verify() -> None:
    """Raise StartupError when a hardened option is not what it was set to."""
    for name, option in HARDENED.items():
        found = config.get_option(name)
        if found != option.value and not (name == "client.toolbarMode" and found == _STRICTER_TOOLBAR):
            raise StartupError(
                f"Streamlit's option {name} is {found!r} and must be {option.value!r}: {option.because}",
                hint="does the script, or something that it imports, set it at start-up?",
            )
