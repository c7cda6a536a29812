"""`gateway doctor`: what is wrong with an installation, and what a tool needs of the content-security profile."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from gateway import findings
from gateway.cli.terminal import EXIT_FINDING, EXIT_INVALID, console, print_error, print_warning, printable
from gateway.errors import PolicyError, StartupError
from gateway.findings import Finding, Kind
from gateway.model import ContentSecurity, Policy

if TYPE_CHECKING:
    from gateway.streamlit.needs import Need


class WithDefault(TyperGroup):
    """A group that runs its default command when the first word names none: `doctor tool.py` beside `doctor csp`."""

    default = "installation"

    def parse_args(self, ctx, args):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 - Typer's own Context is private
        """The arguments, with the default command's name put before them where none stands."""
        named = bool(args) and (args[0] in self.commands or args[0] in ("-h", "--help"))
        return super().parse_args(ctx, args if named else [self.default, *args])


app = typer.Typer(cls=WithDefault, pretty_exceptions_enable=False)

Policies = Annotated[
    Path | None,
    typer.Option(help="Directory of the policies. [policies]", envvar="GATEWAY_POLICIES", metavar="DIR"),
]
StateDir = Annotated[
    Path | None, typer.Option(help="State directory. [.gateway]", envvar="GATEWAY_STATE_DIR", metavar="DIR")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.callback()
def doctor() -> None:
    """Look for what is wrong before a visitor meets it.

    `gateway doctor [TOOL]` is `gateway doctor installation [TOOL]`, with the same options.
    """


@app.command(WithDefault.default)
def installation(
    tool: Annotated[Path | None, typer.Argument(help="A Streamlit script.", metavar="[TOOL]")] = None,
    policies: Policies = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Examine the installation: Streamlit and what the gateway knows of it, policies, state directory, anchors, a tool.

    Nothing is started and nothing is written. Exit codes: 0 fine, 1 findings, 2 usage.

    For example:

    gateway doctor

    gateway doctor tool.py --policies policies
    """
    seen: dict[str, str] = {}
    found = [
        *_streamlit(tool, seen),
        *_policy(policies or Path("policies"), seen),
        *_state(state_dir or Path(".gateway"), seen),
        *_anchors(state_dir or Path(".gateway")),
    ]
    if as_json:
        typer.echo(json.dumps({"findings": [_as_json(each) for each in found], "seen": seen}))
    else:
        for name, what in seen.items():
            console.print(Text(printable(f"{name}: {what}")), soft_wrap=True)
        _print(found)
    raise typer.Exit(EXIT_FINDING if found else 0)


def _streamlit(tool: Path | None, seen: dict[str, str]) -> Iterator[Finding]:
    from gateway.streamlit.internals import missing_internals

    missing = list(missing_internals())
    for internal in missing:
        message = f"the installed Streamlit has no such name; the gateway {internal.because}"
        yield Finding(
            findings.INTERNAL_MISSING, internal.place, message, "install a version of Streamlit that the gateway knows"
        )
    if missing:
        return  # what looks further builds on them
    yield from _with_internals(tool, seen)


def _with_internals(tool: Path | None, seen: dict[str, str]) -> Iterator[Finding]:
    from gateway.streamlit.installation import check_installed, check_script, installed_version

    seen["streamlit"] = installed_version()
    yield from check_installed(tool if tool is not None and tool.is_file() else None)
    if tool is None:
        return
    declared = check_script(tool)
    if isinstance(declared, Finding):
        yield declared
        return
    pages = len({entry.name for entry in declared.entries if not entry.external})
    seen[str(tool)] = f"{pages} page{'s' if pages != 1 else ''}" + (
        "" if declared.complete else ", others are computed"
    )


def _policy(directory: Path, seen: dict[str, str]) -> Iterator[Finding]:
    try:
        policy = _active(directory)
    except PolicyError as error:
        for problem in error.problems:
            yield Finding(findings.POLICY_INVALID, problem.place, problem.message, problem.hint or "")
    else:
        seen["policy"] = f"{policy.ref.revision} ({policy.title})"


def _active(directory: Path) -> Policy:
    from gateway.revisions import Revisions

    return Revisions(directory).active


def _state(path: Path, seen: dict[str, str]) -> Iterator[Finding]:
    from gateway.state.directory import StateDirectory

    try:
        StateDirectory.inspect(path)
    except StartupError as error:
        yield Finding(findings.STATE_UNUSABLE, str(path), str(error), error.hint or "")
    else:
        seen["state"] = f"{path}" if path.exists() else f"{path}, not made yet"


def _anchors(state: Path) -> Iterator[Finding]:
    """Whether the record that is there is anchored somewhere, as the gateway that writes it has noted it."""
    from gateway.audit.anchors.status import anchored_logs, read

    try:
        found = anchored_logs(state)
    except OSError:
        return  # that the state directory cannot be used is a finding of its own
    for directory in found:
        anchors = [each for each in read(directory).anchors if each.kind != "commands"]
        if not anchors:
            yield Finding(
                findings.NOT_ANCHORED,
                str(directory),
                "no anchor is configured: rollback and loss of the machine cannot be detected",
                "set GATEWAY_AUDIT__ANCHOR_DIRECTORIES, GATEWAY_AUDIT__PEERS or GATEWAY_AUDIT__WITNESSES",
            )
        for each in anchors:
            if each.problem:
                hint = f"gateway audit anchors --state-dir {state} says since when"
                yield Finding(findings.ANCHOR_FAILS, each.place, each.problem, hint)
            if each.conflict:
                hint = "gateway audit verify, with --anchor and what the anchor holds, finds where they differ"
                yield Finding(findings.ANCHOR_CONFLICT, each.place, each.conflict, hint)


# --- content security -----------------------------------------------------------------------------------------


@app.command()
def csp(
    tool: Annotated[
        Path | None, typer.Argument(help="A Streamlit script; without it, the record is looked at.", metavar="[TOOL]")
    ] = None,
    pages: Annotated[
        list[Path] | None, typer.Option(help="A further file to read with the script. May be repeated.", metavar="FILE")
    ] = None,
    policies: Policies = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Say which relaxations of the content-security profile a tool needs, and which the active policy lacks.

    With TOOL: reads the script, its pages and its modules, and runs nothing of them. What may be needed is told, and
    is no finding for the exit code. Without TOOL: suggests what the violations in the record ask for.

    Exit codes: 0 fine, 1 something is lacking, 2 usage or policies invalid.

    For example:

    gateway doctor csp tool.py

    gateway doctor csp tool.py --pages views/admin.py --policies policies

    gateway doctor csp --state-dir .gateway
    """
    policy = _content_security(policies)
    fine: list[str] = []
    if tool is None:
        found = _of_record(state_dir or Path(".gateway"), policy)
    else:
        found = _of_tool(tool, pages or [], policy, fine)
    if as_json:
        typer.echo(json.dumps({"findings": [_as_json(finding) for finding in found], "fine": fine}))
    else:
        for line in fine:
            _line(line)
        _print(found)
    certain = any(finding.kind is not findings.RELAXATION_POSSIBLE for finding in found)
    raise typer.Exit(EXIT_FINDING if certain else 0)


def _content_security(directory: Path | None) -> ContentSecurity:
    """What the active policy says; without policies in the usual place, the default profile and nothing added."""
    if directory is None and not Path("policies").is_dir():
        print_warning(
            "there are no policies here: compared with the profile `strict` alone", "name them: --policies DIR"
        )
        return ContentSecurity()
    return _active(directory or Path("policies")).content_security


def _of_tool(tool: Path, pages: list[Path], policy: ContentSecurity, fine: list[str]) -> list[Finding]:
    """What the policy lacks. Into `fine` goes what needs nothing, or has it already."""
    from gateway.streamlit.needs import read_needs

    for path in (tool, *pages):
        if not path.is_file():
            print_error(f"{path}: there is no such file", "name a Streamlit script: gateway doctor csp tool.py")
            raise typer.Exit(EXIT_INVALID)
    try:
        needs = read_needs(tool, pages)
    except SyntaxError as error:
        print_error(f"{tool}:{error.lineno}: {error.msg}", "only what Python can read can be looked at")
        raise typer.Exit(EXIT_INVALID) from None
    for need in needs:
        if need.is_met(policy):
            added = f" ({need.ask.line} is there)" if need.ask else ""
            fine.append(f"fine: {need.path}:{need.line}: {need.call}: {need.because}{added}")
    return [_finding(need) for need in needs if not need.is_met(policy)]


def _finding(need: "Need") -> Finding:
    from gateway.streamlit.asks import Certainty

    kind = findings.RELAXATION_POSSIBLE if need.certainty is Certainty.POSSIBLE else findings.RELAXATION_MISSING
    if need.ask is not None and need.ask.value == "inline":
        kind = findings.NEVER_WORKS
    hint = "" if need.ask is None else f"add to the policy: {need.ask.line}"
    return Finding(kind, f"{need.path}:{need.line}", f"{need.call}: {need.because}", hint)


def _of_record(state: Path, policy: ContentSecurity) -> list[Finding]:
    from gateway.streamlit.violations import asks_of, reported

    return [
        Finding(
            findings.VIOLATION,
            violation.page,
            f"{violation.directive} {'blocked' if violation.enforced else 'would block'} {violation.blocked},"
            f" {violation.count} time{'s' if violation.count != 1 else ''}",
            f"add to the policy: {ask.line}" if ask else "no entry of a policy permits it: look for it in the tool",
        )
        for violation in reported(_events(state))
        if (ask := asks_of(violation)) is None or not ask.is_met(policy)
    ]


def _events(state: Path) -> Iterator[Mapping[str, Any]]:
    from gateway.audit.reader import last, logs

    found = logs(state)
    if not found:
        print_error(f"{state}: there is no record here", "name the state directory: --state-dir DIR")
        raise typer.Exit(EXIT_INVALID)
    for directory in found:
        yield from (line.event for line in last(directory))


# --- printing -------------------------------------------------------------------------------------------------


def _print(found: Iterable[Finding]) -> None:
    """The findings by kind, what they have in common once, then how many there are."""
    kinds: dict[Kind, list[Finding]] = {}
    for finding in found:
        kinds.setdefault(finding.kind, []).append(finding)
    for kind, several in kinds.items():
        _line((f"{kind.id} {kind.title.lower()}", "bold"))
        for finding in several:
            _line(f"  {finding.place}: {finding.message}")
            if finding.hint:
                _line(("    hint: ", "cyan"), finding.hint)
        _line(("  risk: ", "bold yellow"), kind.risk)
        _line(("  caution: ", "cyan"), kind.caution)
    count = sum(len(several) for several in kinds.values())
    _line("no findings" if not count else f"{count} finding{'s' if count != 1 else ''}, see docs/findings.md")


def _line(*parts: str | tuple[str, str]) -> None:
    safe = (printable(part) if isinstance(part, str) else (printable(part[0]), part[1]) for part in parts)
    console.print(Text.assemble(*safe), soft_wrap=True)


def _as_json(finding: Finding) -> dict[str, str]:
    kind = finding.kind
    return {
        "id": kind.id,
        "title": kind.title,
        "place": finding.place,
        "message": finding.message,
        "risk": kind.risk,
        "caution": kind.caution,
        "hint": finding.hint,
    }
