"""Commands that are a name and a line of help until one of them is run, so that `--help` and completion stay fast."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_group


@dataclass(frozen=True, slots=True)
class Verb:
    """A command: its name, the module that has it and the attribute there, and what it does.

    The attribute is a function, or a `typer.Typer` with commands of its own.
    """

    name: str
    module: str
    attribute: str
    help: str

    def load(self) -> typer.Typer:
        """A Typer with this one command in it, loaded now."""
        found = getattr(importlib.import_module(self.module), self.attribute)
        holder = _new_typer()
        if isinstance(found, typer.Typer):
            holder.add_typer(found, name=self.name)
        else:
            holder.command(self.name)(found)
        return holder


def lazy_group(lazily: Sequence[Verb]) -> type[TyperGroup]:
    """The class of a group whose commands are loaded when the arguments name them."""

    class LazyGroup(TyperGroup):
        verbs = tuple(lazily)

        def resolve_command(self, ctx, args):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - Typer's own Context is private
            name, command, rest = super().resolve_command(ctx, args)
            verb = next((verb for verb in self.verbs if verb.name == name), None)
            return (name, get_group(verb.load()).commands[verb.name], rest) if verb else (name, command, rest)

    return LazyGroup


def register(app: typer.Typer, verbs: Sequence[Verb]) -> None:
    """Give a Typer of this class its commands, none of them loaded."""
    for verb in verbs:
        app.command(verb.name, help=verb.help)(_not_loaded)


def _not_loaded() -> NoReturn:
    raise AssertionError("the group resolves to the loaded command")


def _new_typer() -> typer.Typer:
    # Typer's own tracebacks show local variables, and so whatever secret is in one of them.
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False)
