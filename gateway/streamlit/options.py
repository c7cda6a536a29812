"""Streamlit's own options, set hard: what an internal tool behind the gateway must not be talked out of.

Streamlit reads `config.toml`, environment variables and flags; these values win over all of them. `verify` looks again
once the runtime has started, since a second parse of the configuration would bring the old values back.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from streamlit import config

from gateway.errors import StartupError

_STRICTER_TOOLBAR = "minimal"

# Header of ours -> key of `st.user`. Every header of these names from outside is removed before (identity_headers.py).
# The keys are not those of an OpenID token, so what Streamlit's own sign-in puts there stays. Streamlit gives a session
# back only to who comes with the same values: the session of the gateway is among them.
USER_HEADERS: Mapping[str, str] = {
    "x-gateway-user": "id",
    "x-gateway-method": "method",
    "x-gateway-groups": "groups",
    "x-gateway-session": "session",
}


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
    "runner.fastReruns": Hardened(False, "each click would start a thread beside the one that still computes"),
    "server.trustedUserHeaders": Hardened(dict(USER_HEADERS), "another header, from outside, would name the user"),
}


def harden(
    *,
    base_path: str,
    upload_bytes: int,
    message_bytes: int,
    cookie_secret: str,
    agent_api: bool,
    script_health: bool,
    reload: bool,
) -> Mapping[str, object]:
    """Set every hardened option, and those that follow from settings and policy; what was set, for `verify`.

    Sizes in bytes; Streamlit counts MiB. `agent_api` and `script_health` are the policy's word on Streamlit's agent
    interface, and on its health check that runs the script.
    """
    wanted = {name: option.value for name, option in HARDENED.items()}
    wanted |= {"server.enableAgentApi": agent_api, "server.scriptHealthCheckEnabled": script_health}
    if config.get_option("client.toolbarMode") == _STRICTER_TOOLBAR:
        wanted["client.toolbarMode"] = _STRICTER_TOOLBAR
    wanted |= {
        "server.baseUrlPath": base_path.strip("/"),
        "server.cookieSecret": cookie_secret,
        "server.fileWatcherType": "auto" if reload else "none",
        "server.maxUploadSize": max(1, -(-upload_bytes // (1024 * 1024))),
        "server.maxWidgetStateSize": max(1, -(-message_bytes // (1024 * 1024))),
    }
    for name, value in wanted.items():
        config.set_option(name, value, "streamlit-gateway")
    return wanted


def verify(wanted: Mapping[str, object]) -> None:
    """Raise StartupError when an option is not what it was set to. No value is shown: one of them is a secret."""
    for name, value in wanted.items():
        if config.get_option(name) != value:
            because = f": {HARDENED[name].because}" if name in HARDENED else ""
            raise StartupError(
                f"Streamlit's option {name} is not what the gateway has set it to{because}",
                hint="does something that the tool imports at start-up set it, or read the configuration again?",
            )
