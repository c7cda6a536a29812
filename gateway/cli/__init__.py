"""The `gateway` command: one file a noun, loaded when it is run, so that `--help` and completion stay fast."""

import signal
import sys
from typing import NoReturn

import typer

from gateway.cli.lazy import Verb, lazy_group, register
from gateway.cli.terminal import exit_code, print_failure
from gateway.errors import GatewayError

VERBS: tuple[Verb, ...] = (
    Verb("serve", "gateway.cli.serve", "serve", "Serve a Streamlit script behind the gateway."),
    Verb("policy", "gateway.cli.policy", "app", "Check, list and release policies."),
    Verb("audit", "gateway.cli.audit", "app", "Read the record."),
    Verb("client", "gateway.cli.client", "app", "Show how a client's address is found."),
    Verb("assets", "gateway.cli.assets", "app", "Compress Streamlit's front end ahead of the first start."),
    Verb("doctor", "gateway.cli.doctor", "app", "Look for what is wrong before a visitor meets it."),
    Verb("health", "gateway.cli.health", "health", "Ask the running gateway whether it is ready."),
    Verb("version", "gateway.cli.version", "version", "Print the version of the gateway and of what it is built on."),
)


def _build() -> typer.Typer:
    app = typer.Typer(
        cls=lazy_group(VERBS),
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_about)
    register(app, VERBS)
    return app


def _about() -> None:
    """A hardened gateway around internal Streamlit tools.

    For example:

    gateway serve tool.py --policies policies

    gateway policy check

    gateway audit tail --follow

    Exit codes: 0 fine, 1 a finding, 2 usage or configuration invalid, 3 could not start.
    """


app = _build()


def main() -> NoReturn:
    """Run the command that the arguments name, and exit.

    A GatewayError that no command has handled ends in `error:` lines and exit code 2 or 3. Anything else is a bug: it
    ends in a traceback and exit code 1.
    """
    if sys.argv[1:2] == ["serve"]:
        # As process 1 of a container we are sent SIGTERM in vain until somebody handles it; the server does, but only
        # once Streamlit is imported. Nothing has been opened by then, so there is nothing to do but to end.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        app()
    except GatewayError as error:
        print_failure(error)
        sys.exit(exit_code(error))
    sys.exit(0)
