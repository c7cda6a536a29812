"""`gateway audit explain`: why a request was decided as it was, under which revision, and what would be decided now."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from gateway.audit.masks import MaskKey
from gateway.audit.questions.again import Again, Impossible, Recorded, differences, judge, recorded
from gateway.audit.questions.engine import Limits
from gateway.audit.questions.errors import QuestionError
from gateway.audit.questions.find import Finder
from gateway.audit.reader import Line, logs
from gateway.audit.statements import DamagedLogError
from gateway.cli.audit.asking import AsJson, Memory, StateDirs, Timeout, Unrecorded, busy, states, write_down
from gateway.cli.audit.pseudonyms import mask_keys
from gateway.cli.audit.tail import summary
from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, console, fail, print_error, print_warning, printable
from gateway.errors import PolicyError
from gateway.model import Policy
from gateway.policy.examples import outcome_of
from gateway.policy.lock import revision_of
from gateway.policy.parse import parse_policy
from gateway.releases import policy_files, read_lock, read_source

_SHOWN: Final = 50
_EXPLAINED: Final = 10


@dataclass(frozen=True, slots=True)
class _Revision:
    """A revision as it lies on the disk: the policy, or why there is none."""

    file: str
    policy: Policy | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Explained:
    """One decision of the exchange, with everything that can be said about it."""

    place: str
    found: Recorded
    then: _Revision
    again: Again | Impossible | None
    now: _Revision
    today: Again | Impossible | None

    @property
    def is_same_file(self) -> bool:
        """Whether the revision's file is what judged, byte for byte."""
        return self.then.policy is not None and self.then.policy.ref.digest == self.found.digest

    @property
    def contradiction(self) -> tuple[str, ...]:
        """In what the decision differs from the same one made again; empty when that says nothing."""
        exact = isinstance(self.again, Again) and not self.again.inexact
        if not (isinstance(self.again, Again) and exact and self.is_same_file and self.found.by_the_engine):
            return ()
        return differences(self.found, self.again)


def explain(
    *,
    event: Annotated[
        str,
        typer.Argument(
            help="A request id (the reference that a visitor quotes), log:sequence, or an event's uid.", metavar="EVENT"
        ),
    ],
    policies: Annotated[
        Path, typer.Option(help="The directory of the policies.", envvar="GATEWAY_POLICIES", metavar="DIR")
    ] = Path("policies"),
    state_dir: StateDirs = None,
    as_json: AsJson = False,
    unrecorded: Unrecorded = False,
    timeout: Timeout = 30.0,
    memory: Memory = 256,
) -> None:
    """Show the events of an exchange, and make its decisions again: with the revision of then, and with that of now.

    Exit codes: 0 explained, 1 a decision comes out differently from the same inputs and the same revision, 2 not found.

    For example:

    gateway audit explain 5f5c357eec6cb20eb74020618a12bd28

    gateway audit explain cdc98f98a35fa360/w0:123456 --policies /etc/gateway/policies
    """
    event, found = event.strip(), states(state_dir)  # it is pasted from wherever a visitor has quoted it
    write_down(found, {"explain": event}, unrecorded=unrecorded)
    finder = Finder([directory for state in found for directory in logs(state)], Limits(timeout, memory))
    try:
        with busy("reading the record"):
            named = finder.named(event)
            exchange = finder.exchange(named[0]) if len(named) == 1 else named
    except (QuestionError, DamagedLogError) as error:
        fail(error, EXIT_INVALID)
    except OSError as error:
        print_error(f"the record cannot be read: {error}")
        raise typer.Exit(EXIT_INVALID) from error
    if not exchange:
        print_error(f"{event}: no such event", "quote the request id of the error page, log:sequence, or metadata.uid")
        raise typer.Exit(EXIT_INVALID)
    keys = mask_keys(found)
    explained = [each for line in exchange if (each := _explained(line, policies, keys)) is not None]
    if as_json:
        typer.echo(json.dumps(_as_json(exchange, explained), default=str))
    else:
        _print(exchange, explained)
    raise typer.Exit(EXIT_FINDING if any(each.contradiction for each in explained) else 0)


# --- making it again ------------------------------------------------------------------------------------------


def _explained(line: Line, policies: Path, keys: Sequence[MaskKey]) -> _Explained | None:
    found = recorded(line.event)
    if found is None:
        return None
    then, now = _revision(policies, found.revision), _active(policies)
    return _Explained(
        _place(line),
        found,
        then,
        judge(found, then.policy, keys) if then.policy else None,
        now,
        judge(found, now.policy, keys) if now.policy else None,
    )


def _active(policies: Path) -> _Revision:
    try:
        return _revision(policies, read_lock(policies).active)
    except PolicyError as error:
        return _Revision(str(policies), problem=str(error.problems[0]))


def _revision(policies: Path, revision: str) -> _Revision:
    """The policy file of this number, released or not: whether it is what judged is told by its digest."""
    try:
        file = next((name for name in policy_files(policies) if revision_of(name) == revision), None)
        if file is None:
            return _Revision(str(policies), problem=f"no file of revision {revision} in {policies}")
        place = str(policies / file)
        return _Revision(place, parse_policy(read_source(policies, file), today=date.min))
    except PolicyError as error:
        return _Revision(str(policies), problem=str(error.problems[0]))


def _place(line: Line) -> str:
    metadata = line.event["metadata"]
    return f"{metadata.get('log_name')}:{metadata['sequence']}"


# --- showing it -----------------------------------------------------------------------------------------------


def _print(exchange: Sequence[Line], explained: Sequence[_Explained]) -> None:
    for line in exchange[:_SHOWN]:
        console.print(summary(line.event), soft_wrap=True)
    if len(exchange) > _SHOWN:
        _say("", f"… and {len(exchange) - _SHOWN} more events")
    for each in explained[:_EXPLAINED]:
        console.print()
        _print_one(each)
    if len(explained) > _EXPLAINED:
        _say("", f"… and {len(explained) - _EXPLAINED} more decisions; --json has all")
    if not explained:
        _say("decision", "none among these events")


def _print_one(each: _Explained) -> None:
    found = each.found
    _say("decision", f"{found.outcome} · {found.reason} · {each.place}", bold=True)
    _say("rule", _rule(found.rule, each.again))
    _say("revision", _revision_line(each))
    for check in _checks(each):
        mark = "✓" if check.get("held") else "✗"
        _say("", f"{mark} {check.get('name')}  {check.get('detail') or ''}".rstrip())
    if not found.by_the_engine:
        _say("decided by", "a limit or a check of the gateway itself, before or beside the rules of the policy")
    _say("made again", _verdict(each.again, each.then))
    if isinstance(each.again, Again) and not each.is_same_file:
        _say("", "with a file that is not the one that judged: the answer may differ")
    for difference in each.contradiction:
        print_warning(f"the same inputs and the same revision give another decision: {difference}")
    revision = each.now.policy.ref.revision if each.now.policy else "none"
    _say("today", f"under revision {revision}: {_verdict(each.today, each.now)}")


def _checks(each: _Explained) -> Sequence[dict[str, Any]]:
    """The trace: of a refusal the recorded one; of what was allowed, which has none, the one made again."""
    if each.found.trace or not each.found.by_the_engine or not isinstance(each.again, Again):
        return each.found.trace
    return [asdict(check) for check in each.again.decision.trace]


def _revision_line(each: _Explained) -> str:
    found, policy = each.found, each.then.policy
    if policy is None:
        return f"{found.revision}, {found.digest[:19]} · {each.then.problem}"
    same = "the file is the one that judged" if each.is_same_file else f"THE FILE DIFFERS: {policy.ref.digest[:19]}"
    return f"{found.revision}, {found.digest[:19]} · {each.then.file} · {same}"


def _rule(rule: str | None, again: Again | Impossible | None) -> str:
    if rule is None:
        return "none"
    policy = again.policy if isinstance(again, Again) else None
    because = next((each.because for each in policy.rules if each.id == rule), None) if policy else None
    return f"{rule} · {because}" if because else rule


def _verdict(made: Again | Impossible | None, revision: _Revision) -> str:
    match made:
        case None:
            return f"not possible: {revision.problem}"
        case Impossible(because):
            return f"not possible: {'; '.join(because)}"
        case Again(_, decision, inexact):
            rule = f" · {decision.rule}" if decision.rule else ""
            words = f" · {made.because}" if made.because else ""
            caveat = f" (not exactly: {'; '.join(inexact)})" if inexact else ""
            return f"{outcome_of(decision)} · {decision.reason}{rule}{words}{caveat}"


def _say(name: str, text: str, *, bold: bool = False) -> None:
    line = Text.assemble((f"{name:<12}", "dim"), (printable(text), "bold" if bold else ""))
    console.print(line, soft_wrap=True)


# --- as JSON --------------------------------------------------------------------------------------------------


def _as_json(exchange: Sequence[Line], explained: Sequence[_Explained]) -> dict[str, Any]:
    return {
        "events": [line.event for line in exchange],
        "decisions": [_one_as_json(each) for each in explained],
    }


def _one_as_json(each: _Explained) -> dict[str, Any]:
    policy = each.then.policy
    return {
        "event": each.place,
        "recorded": asdict(each.found),
        "by_the_engine": each.found.by_the_engine,
        "revision": {
            "revision": each.found.revision,
            "digest": each.found.digest,
            "file": each.then.file,
            "problem": each.then.problem,
            "digest_of_the_file": policy.ref.digest if policy else None,
            "same": each.is_same_file,
        },
        "again": _made_as_json(each.again),
        "differences": list(each.contradiction),
        "today": {
            "revision": each.now.policy.ref.revision if each.now.policy else None,
            "problem": each.now.problem,
            **(_made_as_json(each.today) or {}),
        },
    }


def _made_as_json(made: Again | Impossible | None) -> dict[str, Any] | None:
    match made:
        case None:
            return None
        case Impossible(because):
            return {"impossible": list(because)}
        case Again(_, decision, inexact):
            return {
                "outcome": outcome_of(decision),
                "reason": decision.reason.value,
                "rule": decision.rule,
                "because": made.because,
                "inexact": list(inexact),
                "trace": [asdict(check) for check in decision.trace],
            }
