"""`gateway policy`: check policies, list the revisions, release one, make an earlier one active again."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, console, fail, print_error, print_problems, printable
from gateway.errors import PolicyError, Problem
from gateway.model import Policy
from gateway.policy.examples import TestOutcome, outcome_of, run_tests
from gateway.policy.lock import LOCK_FILE, Lock, revision_of
from gateway.policy.parse import parse_policy, unenforced
from gateway.releases import TestsFailed, policy_files, read_lock, read_source, verify
from gateway.releases import activate as activate_revision
from gateway.releases import release as release_revision

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

Policies = Annotated[
    Path, typer.Option(help="The directory of the policies.", envvar="GATEWAY_POLICIES", metavar="DIR")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_HERE = Path("policies")


@app.callback()
def policy() -> None:
    """Check, list and release policies."""


# --- check ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checked:
    """One policy file with everything that was found out about it. `policy` is None when there are problems."""

    file: str
    state: str
    policy: Policy | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()
    outcomes: tuple[TestOutcome, ...] = ()

    @property
    def failed(self) -> tuple[TestOutcome, ...]:
        """The tests that did not pass."""
        return tuple(outcome for outcome in self.outcomes if not outcome.passed)


@app.command()
def check(
    file: Annotated[
        str | None, typer.Argument(help="A policy file, or a revision's number. [all, and the lock]", metavar="[FILE]")
    ] = None,
    policies: Policies = _HERE,
    as_json: AsJson = False,
) -> None:
    """Read policies strictly, run the tests inside them, and compare released files with the lock.

    Without FILE: every policy in the directory, and the lock. Expired entries count only where the policy is active
    or not released yet.

    Exit codes: 0 fine, 1 a test inside failed, 2 invalid.

    For example:

    gateway policy check

    gateway policy check policies/0002-branch-office.toml

    gateway policy check 0002 --json
    """
    try:
        lock_problems, checked = _check_one(policies, file) if file else _check_all(policies)
    except PolicyError as error:
        lock_problems, checked = error.problems, ()
    if as_json:
        typer.echo(json.dumps({"problems": _problems(lock_problems), "policies": [_checked(each) for each in checked]}))
    else:
        for each in checked:
            _print_checked(each)
        print_problems(lock_problems)
    invalid = lock_problems or any(each.problems for each in checked)
    failed = any(each.failed for each in checked)
    raise typer.Exit(EXIT_INVALID if invalid else EXIT_FINDING if failed else 0)


def _check_one(policies: Path, file: str) -> tuple[tuple[Problem, ...], tuple[Checked, ...]]:
    directory, name = policies, Path(file).name
    if Path(file).suffix == ".toml":
        directory = Path(file).parent
    else:
        name = next((found for found in policy_files(policies) if revision_of(found) == file), f"{file}.toml")
    lock = read_lock(directory) if (directory / LOCK_FILE).exists() else Lock()
    return (), (_check_file(directory, name, lock),)


def _check_all(policies: Path) -> tuple[tuple[Problem, ...], tuple[Checked, ...]]:
    problems: tuple[Problem, ...] = ()
    lock = Lock()
    try:
        lock = read_lock(policies)
        problems = verify(policies, lock)
    except PolicyError as error:
        problems = error.problems
    return problems, tuple(_check_file(policies, name, lock) for name in policy_files(policies))


def _check_file(directory: Path, name: str, lock: Lock) -> Checked:
    state = _state(name, lock)
    place = str(directory / name)
    # What is released and not active cannot be changed any more, and need not be valid today.
    today = date.min if state == "released" else _today()
    try:
        source = read_source(directory, name)
        parsed = parse_policy(source, today=today)
    except PolicyError as error:
        return Checked(place, state, problems=error.problems)
    return Checked(place, state, parsed, notes=unenforced(source), outcomes=run_tests(parsed))


def _state(name: str, lock: Lock) -> str:
    number = revision_of(name) or ""
    locked = lock.revisions.get(number)
    if locked is None or locked.file != name:
        return "not released"
    return "active" if number == lock.active else "released"


def _today() -> date:
    return datetime.now(UTC).date()


def _print_checked(checked: Checked) -> None:
    print_problems(checked.problems)
    _print_failures(checked.file, checked.outcomes)
    if checked.policy is not None:
        passed = len(checked.outcomes) - len(checked.failed)
        tests = f"{passed} of {len(checked.outcomes)} tests passed"
        line = f"{checked.file}: {checked.state}, {checked.policy.ref.digest[:19]}, {tests}"
        console.print(Text(printable(line)), soft_wrap=True)
    for note in checked.notes:
        console.print(Text.assemble(("note:", "yellow"), f" {printable(str(note))}"), soft_wrap=True)


def _print_failures(file: str, outcomes: Iterable[TestOutcome]) -> None:
    for index, outcome in enumerate(outcomes):
        if not outcome.passed:
            print_error(
                f"{file}: tests[{index}] ({outcome.test.name}): {'; '.join(outcome.differences)}", _because(outcome)
            )


def _because(outcome: TestOutcome) -> str:
    steps = (f"{check.name} {'holds' if check.held else 'fails'} ({check.detail})" for check in outcome.decision.trace)
    return "decided by: " + ", ".join(steps)


def _checked(checked: Checked) -> dict[str, object]:
    ref = checked.policy.ref if checked.policy else None
    return {
        "file": checked.file,
        "state": checked.state,
        "revision": ref.revision if ref else None,
        "digest": ref.digest if ref else None,
        "problems": _problems(checked.problems),
        "notes": _problems(checked.notes),
        "tests": [_outcome(outcome) for outcome in checked.outcomes],
    }


def _problems(problems: Sequence[Problem]) -> list[dict[str, str | None]]:
    return [{"place": each.place, "message": each.message, "hint": each.hint} for each in problems]


def _outcome(outcome: TestOutcome) -> dict[str, object]:
    return {
        "name": outcome.test.name,
        "passed": outcome.passed,
        "outcome": outcome_of(outcome.decision),
        "reason": outcome.decision.reason.value,
        "rule": outcome.decision.rule,
        "differences": list(outcome.differences),
    }


# --- list -----------------------------------------------------------------------------------------------------


@app.command("list")
def list_revisions(policies: Policies = _HERE, as_json: AsJson = False) -> None:
    """List the revisions: which one is active, which are released, which are not.

    Exit codes: 0 fine, 2 the lock or a released file is wrong.

    For example:

    gateway policy list

    gateway policy list --policies /etc/gateway/policies --json
    """
    try:
        files = policy_files(policies)
        lock = read_lock(policies) if (policies / LOCK_FILE).exists() else Lock()
        problems = verify(policies, lock)
    except PolicyError as error:
        fail(error)
    rows = [_row(policies, name, lock) for name in files]
    if as_json:
        typer.echo(json.dumps({"active": lock.active or None, "revisions": rows, "problems": _problems(problems)}))
    else:
        _print_rows(rows)
        print_problems(problems)
    raise typer.Exit(EXIT_INVALID if problems else 0)


def _row(policies: Path, name: str, lock: Lock) -> dict[str, str | None]:
    number = revision_of(name)
    locked = lock.revisions.get(number or "")
    return {
        "revision": number,
        "state": _state(name, lock),
        "title": _title(policies, name),
        "digest": locked.digest if locked and locked.file == name else None,
        "file": name,
    }


def _title(policies: Path, name: str) -> str | None:
    """The title, if the policy can be read at all; what is wrong with it is told by `check`."""
    try:
        return parse_policy(read_source(policies, name), today=date.min).title
    except PolicyError:
        return None


def _print_rows(rows: Sequence[dict[str, str | None]]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("revision", "state", "title", "digest", "file"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        style = "bold" if row["state"] == "active" else ""
        cells = (row["revision"], row["state"], row["title"], (row["digest"] or "")[:19], row["file"])
        table.add_row(*(Text(printable(cell or "-")) for cell in cells), style=style)
    console.print(table)


# --- release, activate ----------------------------------------------------------------------------------------


@app.command()
def release(
    revision: Annotated[
        str | None, typer.Argument(help="Its number or file name. [the one that is not released]", metavar="[REVISION]")
    ] = None,
    policies: Policies = _HERE,
    as_json: AsJson = False,
) -> None:
    """Check a revision, add it to the lock and make it active. A running gateway takes it up within seconds.

    Exit codes: 0 released, 1 a test inside failed, 2 invalid; with 1 and 2 nothing was changed.

    For example:

    gateway policy release

    gateway policy release 0002
    """
    _change("released", policies, revision, as_json=as_json)


@app.command(no_args_is_help=True)
def activate(
    revision: Annotated[str, typer.Argument(help="The number of a released revision.", metavar="REVISION")],
    policies: Policies = _HERE,
    as_json: AsJson = False,
) -> None:
    """Make a released revision the active one: the way back after a release.

    Exit codes: 0 activated, 1 a test inside failed, 2 invalid; with 1 and 2 nothing was changed.

    For example:

    gateway policy activate 0001
    """
    _change("activated", policies, revision, as_json=as_json)


def _change(word: str, policies: Path, revision: str | None, *, as_json: bool) -> None:
    try:
        if word == "activated":
            result = activate_revision(policies, revision or "", _today())
        else:
            result = release_revision(policies, revision, _today())
    except PolicyError as error:
        fail(error)
    ref = result.policy.ref
    if isinstance(result, TestsFailed):
        _print_failures(f"revision {ref.revision}", result.outcomes)
        raise typer.Exit(EXIT_FINDING)
    if as_json:
        typer.echo(json.dumps({word: ref.revision, "digest": ref.digest, "tests": len(result.outcomes)}))
    else:
        console.print(Text(f"{word} {ref.revision}, {ref.digest}, {len(result.outcomes)} tests passed"), soft_wrap=True)
