"""What the commands print: results on stdout, complaints on stderr, both readable for people and for `grep`.

Complaints are lower case without a full stop, one line each, then what to do about it:

    error: GATEWAY_SERVER__PORT: expected `int <= 65535`
    hint: choose a port from 1 to 65535
"""

from collections.abc import Iterable
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

from gateway.errors import ConfigurationError, GatewayError, Problem, StartupError

# Rich leaves colours out by itself when the stream is not a terminal, when NO_COLOR is set and when TERM is dumb.
# No highlighting: a path or a number in an error must look the same in every terminal and in every log.
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

EXIT_FINDING = 1
EXIT_INVALID = 2
EXIT_STARTUP = 3


def print_error(message: str, hint: str | None = None) -> None:
    """One `error:` line on stderr, then one `hint:` line for each line of the hint."""
    _complain("error", "bold red", message)
    for line in (hint or "").splitlines():
        _complain("hint", "cyan", line)


def print_warning(message: str, hint: str | None = None) -> None:
    """One `warning:` line on stderr: something that does not stop us, and that somebody should look at."""
    _complain("warning", "bold yellow", message)
    for line in (hint or "").splitlines():
        _complain("hint", "cyan", line)


def print_problems(problems: Iterable[Problem]) -> None:
    """Every problem on stderr, as `error: place: message` with its hint below."""
    for problem in problems:
        print_error(str(problem), problem.hint)


def fail(error: GatewayError, code: int | None = None) -> NoReturn:
    """Print what is wrong and end the command with `code`.

    Without a code: 3 for a StartupError, else 2 (usage or configuration invalid).

    Raises:
        typer.Exit: always.
    """
    print_failure(error)
    raise typer.Exit(exit_code(error) if code is None else code) from error


def print_failure(error: GatewayError) -> None:
    """What is wrong, on stderr: every problem of a configuration, or the one cause."""
    if isinstance(error, ConfigurationError):
        print_problems(error.problems)
    else:
        print_error(str(error), error.hint if isinstance(error, StartupError) else None)


def exit_code(error: GatewayError) -> int:
    """The exit code of a command that ends with this error: 3 could not start, 2 configuration invalid."""
    return EXIT_STARTUP if isinstance(error, StartupError) else EXIT_INVALID


def printable(text: str) -> str:
    """The text on one line, its control characters written out.

    Messages quote what stood in files and headers: an escape sequence from there must not reach a terminal.
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _complain(word: str, style: str, message: str) -> None:
    # A Text, not a string: Rich would read `rules[2].networks` as markup. Soft wrap: one complaint is one line.
    errors.print(Text.assemble((f"{word}:", style), f" {printable(message)}"), soft_wrap=True)
