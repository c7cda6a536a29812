"""The `gateway` command: one file a noun, loaded when it is run, so that `--help` and completion stay fast."""

import importlib
import signal
import sys
from dataclasses import dataclass
from typing import NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_group

from gateway.cli.terminal import exit_code, print_failure
from gateway.errors import GatewayError


@dataclass(frozen=True, slots=True)
class Verb:
    """A command: its module in this package, the attribute there (a function, or a `typer.Typer`), and what it does."""

    name: str
    attribute: str
    help: str

    def load(self) -> typer.Typer:
        """A Typer with this one command in it, loaded now."""
        found = getattr(importlib.import_module(f"gateway.cli.{self.name}"), self.attribute)
        holder = _new_typer()
        if isinstance(found, typer.Typer):
            holder.add_typer(found, name=self.name)
        else:
            holder.command(self.name)(found)
        return holder


VERBS: tuple[Verb, ...] = (
    Verb("serve", "serve", "Serve a Streamlit script behind the gateway."),
    Verb("policy", "app", "Check, list and release policies."),
    Verb("audit", "app", "Read the record."),
    Verb("client", "app", "Show how a client's address is found."),
    Verb("assets", "app", "Compress Streamlit's front end ahead of the first start."),
    Verb("doctor", "app", "Look for what is wrong before a visitor meets it."),
    Verb("health", "health", "Ask the running gateway whether it is ready."),
    Verb("version", "version", "Print the version of the gateway and of what it is built on."),
)


class LazyGroup(TyperGroup):
    """A group whose commands are names with a line of help until one of them is run or completed."""

    def resolve_command(self, ctx, args):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 - Typer's own Context is private
        """The command that the arguments name, loaded, and the arguments that are left."""
        name, command, rest = super().resolve_command(ctx, args)
        verb = next((verb for verb in VERBS if verb.name == name), None)
        return (name, get_group(verb.load()).commands[verb.name], rest) if verb else (name, command, rest)


def _new_typer() -> typer.Typer:
    # Typer's own tracebacks show local variables, and so whatever secret is in one of them.
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _build() -> typer.Typer:
    app = typer.Typer(
        cls=LazyGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_about)
    for verb in VERBS:
        app.command(verb.name, help=verb.help)(_not_loaded)
    return app


def _about() -> None:
    """A hardened gateway around internal Streamlit tools.

    For example:

    gateway serve tool.py --policies policies

    gateway policy check

    gateway audit tail --follow

    Exit codes: 0 fine, 1 a finding, 2 usage or configuration invalid, 3 could not start.
    """


def _not_loaded() -> NoReturn:
    raise AssertionError("LazyGroup resolves to the loaded command")


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
