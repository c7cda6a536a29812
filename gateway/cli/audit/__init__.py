"""`gateway audit`: read the record, question it, prove it, ship it. One file a verb."""

import typer

from gateway.cli.lazy import Verb, lazy_group, register

VERBS: tuple[Verb, ...] = (
    Verb("tail", "gateway.cli.audit.tail", "tail", "Print the last events, and go on while they are recorded."),
)

app = typer.Typer(
    cls=lazy_group(VERBS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Read the record: follow it, question it, explain it, prove it.",
)
register(app, VERBS)
