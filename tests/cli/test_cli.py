"""The command line as a shell sees it: exit codes, what is on stdout and what on stderr."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.cli import VERBS
from gateway.cli.terminal import print_problems, print_warning, printable
from gateway.errors import ConfigurationError, GatewayError, LedgerError, Problem, SettingsError, StartupError
from tests.support.processes import ROOT, clean_environment

GATEWAY = Path(sys.executable).with_name("gateway")


def run(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [GATEWAY, *arguments], capture_output=True, text=True, timeout=30, cwd=ROOT, env=clean_environment(environ)
    )


def test_help_names_every_command_and_the_exit_codes() -> None:
    """`gateway --help` lists the commands, gives examples and says what the exit codes mean."""
    done = run("--help")
    assert done.returncode == 0
    assert all(verb.name in done.stdout for verb in VERBS)
    assert "gateway serve tool.py" in done.stdout
    assert "2 usage or configuration invalid" in done.stdout


def test_help_is_fast_and_loads_no_command() -> None:
    """`gateway --help` answers in less than 300 ms of processor time, without importing Streamlit or any command."""
    before = os.times()
    run("--help")
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.3
    code = "import sys, gateway.cli; print([m for m in sys.modules if m.startswith(('streamlit', 'gateway.'))])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout
    assert "gateway.cli.terminal" in loaded
    assert not re.search(r"'streamlit|gateway\.(policy|audit|settings|app)|gateway\.cli\.(serve|policy|audit)", loaded)


@pytest.mark.parametrize("name", [verb.name for verb in VERBS])
def test_every_command_loads_and_helps(name: str) -> None:
    """Every command that the help lists exists, and explains itself with an example."""
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: gateway" in done.stdout


USAGE = [
    ("no such command", ("polcy",), "Did you mean 'policy'?"),
    ("no such option", ("version", "--jsn"), "No such option"),
    ("no such value", ("health", "--port", "x"), "Invalid value for '--port'"),
]


@pytest.mark.parametrize(("arguments", "message"), [row[1:] for row in USAGE], ids=[row[0] for row in USAGE])
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...], message: str) -> None:
    """A command line that makes no sense is exit code 2, with a suggestion on stderr and nothing on stdout."""
    done = run(*arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_version_is_machine_readable() -> None:
    """`gateway version --json` names the gateway, Python and what we are built on."""
    found = json.loads(run("version", "--json").stdout)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["streamlit-gateway"])
    assert {"streamlit", "starlette", "uvicorn"} <= found.keys()


def test_version_does_not_care_about_settings() -> None:
    """A broken environment does not keep anybody from asking for the version."""
    assert run("version", GATEWAY_NOPE="1").returncode == 0


def test_completion_knows_the_commands() -> None:
    """Tab completion lists the commands that begin with what was typed."""
    done = run(_GATEWAY_COMPLETE="complete_bash", COMP_WORDS="gateway ver", COMP_CWORD="1")
    assert done.stdout.split() == ["version"]


def test_completion_reaches_into_a_command() -> None:
    """Tab completion inside a command lists its own options."""
    done = run(_GATEWAY_COMPLETE="complete_bash", COMP_WORDS="gateway health --l", COMP_CWORD="2")
    assert done.stdout.split() == ["--live"]


ERRORS = [
    ("settings", SettingsError([Problem("GATEWAY_X", "unknown setting", "did you mean Y?")]), 2),
    ("configuration", ConfigurationError([Problem("a", "b"), Problem("c", "d")]), 2),
    ("start", StartupError("the port is taken", "choose another one"), 3),
    ("record", LedgerError("the record is damaged"), 3),
    ("another one", GatewayError("broken"), 2),
]


@pytest.mark.parametrize(("error", "code"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS])
def test_an_error_that_no_command_handles_is_told_without_traceback(error: GatewayError, code: int) -> None:
    """What we raise on purpose ends in `error:` lines on stderr: 3 when we could not start, else 2."""
    done = _main_that_raises(f"gateway.errors.{_source(error)}")
    assert done.returncode == code
    assert done.stdout == ""
    expected = [str(problem) for problem in error.problems] if isinstance(error, ConfigurationError) else [str(error)]
    assert [line.removeprefix("error: ") for line in done.stderr.splitlines() if line.startswith("error:")] == expected


def _source(error: GatewayError) -> str:
    if isinstance(error, ConfigurationError):
        problems = ", ".join(f"gateway.errors.{problem!r}" for problem in error.problems)
        return f"{type(error).__name__}([{problems}])"
    return (
        f"{type(error).__name__}({', '.join(map(repr, [str(error), *filter(None, [getattr(error, 'hint', None)])]))})"
    )


def _main_that_raises(expression: str) -> "subprocess.CompletedProcess[str]":
    code = f"""
import gateway.cli, gateway.cli.version, gateway.errors
def version():
    secret = "s3cr3t"
    raise {expression}
gateway.cli.version.version = version
gateway.cli.main()
"""
    return subprocess.run(
        [sys.executable, "-c", code, "version"], capture_output=True, text=True, cwd=ROOT, env=clean_environment()
    )


def test_a_bug_ends_in_a_traceback_that_shows_no_variables() -> None:
    """An unexpected exception is not swallowed, and its traceback does not print what variables held."""
    done = _main_that_raises("RuntimeError('a bug')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "s3cr3t" not in done.stderr


def test_a_complaint_is_one_line_without_markup_or_control_characters(capfd: pytest.CaptureFixture[str]) -> None:
    """Brackets stay as they are, an escape sequence is written out, and a long message does not wrap."""
    print_problems([Problem("policies/a.toml: rules[2].networks", "unknown\x1b[2J network\nerror: forged", "x" * 300)])
    print_warning("careful")
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == r"error: policies/a.toml: rules[2].networks: unknown\x1b[2J network\nerror: forged"
    assert lines[1] == "hint: " + "x" * 300
    assert lines[2] == "warning: careful"


@pytest.mark.parametrize("text", ["\u202etxt", "\u2028", "\x00", "\x7f", "\x9b31m", "\udc80"])
def test_what_does_not_print_is_written_out(text: str) -> None:
    """Control characters, direction marks, line separators and lone surrogates never reach a terminal."""
    assert printable(text).isascii()
    assert printable("naïve, fine ✓") == "naïve, fine ✓"


def test_colours_are_for_terminals_only() -> None:
    """Into a pipe goes plain text, whatever TERM says."""
    assert "\x1b" not in run("health", "--port", "1", TERM="xterm-256color").stderr


def test_no_command_waits_for_a_terminal() -> None:
    """A command without input ends by itself."""
    begun = time.monotonic()
    assert run().returncode == 2
    assert time.monotonic() - begun < 10
