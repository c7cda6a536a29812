"""The manuals of the commands have every command and every option, and their examples do what they show."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.main import get_group

from gateway.audit import Ledger
from gateway.cli import VERBS
from gateway.state.directory import StateDirectory
from tests.docs.documents import ROOT, blocks, name_of, tracked
from tests.support.processes import PYTHON, clean_environment, free_port, running

MANUAL = "\n".join((ROOT / "docs" / name).read_text("utf-8") for name in ("commands.md", "commands-audit.md"))
SECTIONS = dict(re.findall(r"^## (gateway [a-z -]+)\n(.*?)(?=^## |\Z)", MANUAL, re.MULTILINE | re.DOTALL))
BIN = Path(PYTHON).parent


def _commands(verbs=VERBS, before: str = "gateway") -> dict[str, object]:
    """Every command that can be run, as typed, with what Typer knows of it."""
    found = {}
    for verb in verbs:
        command, name = get_group(verb.load()).commands[verb.name], f"{before} {verb.name}"
        if lazy := getattr(command, "verbs", None):
            found |= _commands(lazy, name)
            continue
        nouns = getattr(command, "commands", None)
        default = getattr(command, "default", None)  # the command that the verb by itself means
        for sub, each in (nouns or {default: command}).items():
            found[name if sub == default else f"{name} {sub}"] = each
    return found


COMMANDS = _commands()
OPTIONS = {
    name: {
        option
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option[0] == "-"
    }
    for name, command in COMMANDS.items()
}


def test_every_command_has_a_section():
    """Each command and sub-command has a section of its own, a row in the table, and no section is about another."""
    assert set(SECTIONS) == set(COMMANDS)
    assert set(re.findall(r"^\| \[`(gateway [a-z -]+)`\]", MANUAL, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name):
    """Each section has the synopsis, every option and no other, the exit codes, and an example."""
    section = SECTIONS[name]
    assert section.lstrip().startswith(name)
    explained = {
        option
        for cell in re.findall(r"^\| (`-.*?) \|", section, re.MULTILINE)
        for option in re.findall(r"`(-[^`]+)`", cell)
    }
    assert explained == OPTIONS[name] - {"--help", "-h"}
    assert "Exit codes: 0" in section
    assert blocks(section, "console")


# --- what other documents say about commands --------------------------------------------------------------------

_USE = re.compile(r"\bgateway (serve|policy|audit|session|client|assets|doctor|health|version)\b((?: [^`|\n#;&]+)?)")


def misused(text: str) -> list[str]:
    """The uses of the command, in code of a document, that name a sub-command or an option that does not exist."""
    code = [
        *re.findall(r"`([^`\n]+)`", text),
        *re.findall(r"^(?:    |\t|\$ )?(?:.*/)?(gateway .*)$", text, re.MULTILINE),
    ]
    wrong = []
    for verb, rest in (use for each in code for use in _USE.findall(each)):
        words = re.sub(r"'[^']*'|\"[^\"]*\"", "quoted", rest).split()
        longest = (" ".join(["gateway", verb, *words[:count]]) for count in (2, 1, 0))
        name = next((each for each in longest if each in COMMANDS), f"gateway {verb} {words[0] if words else ''}")
        if name not in COMMANDS and (words or f"{verb}" not in {each.name for each in VERBS}):
            wrong.append(name)
        elif name in COMMANDS:
            used = {word.partition("=")[0].strip("[]") for word in words if re.fullmatch(r"\[?--?[a-z][a-z-]*.*", word)}
            wrong += [f"{name} {option}" for option in sorted(used - OPTIONS[name] - {"--help", "-h"})]
    return wrong


@pytest.mark.parametrize("path", tracked(".md"), ids=name_of)
def test_documents_name_only_commands_that_exist(path):
    """No document names a command or an option that there is not."""
    assert misused(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see `gateway policy explain`", ["gateway policy explain"]),
        ("    gateway session list", ["gateway session list"]),
        ("`gateway health --lively`", ["gateway health --lively"]),
        ("`gateway session`", ["gateway session "]),
        ("`gateway doctor tool.py`, `gateway doctor csp --pages`", []),
        ("`gateway doctor --pages`", ["gateway doctor --pages"]),
        ("`gateway policy`, `gateway audit tail -f --denied`, and the gateway policy of today", []),
    ],
)
def test_the_check_sees_a_command_that_is_none(text, expected):
    """The check itself is checked: a command and an option that do not exist are found."""
    assert misused(text) == expected


# --- the examples ---------------------------------------------------------------------------------------------


def expected_output(lines: list[str]) -> re.Pattern[str]:
    """What an example shows, as a pattern: `…` is anything, alone any lines, and blanks may be more or fewer."""
    shown = [
        r"[\s\S]*" if line == "…" else re.sub(r"(?:\\?\s)+", r"\\s+", re.escape(line.strip())).replace("…", r".*")
        for line in lines
    ]
    return re.compile(r"\s*" + r"\s*\n\s*".join(shown) + r"\s*")


def steps(block: str) -> list[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines that it shows."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def shell(command: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    environment = clean_environment({"PATH": f"{BIN}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)})
    return subprocess.run(
        command, shell=True, cwd=directory, env=environment, capture_output=True, text=True, timeout=60
    )


def furnished(directory: Path) -> Path:
    """A directory like the repository's own, for one example."""
    for name in ("policies", "examples"):
        shutil.copytree(ROOT / name, directory / name)
    shutil.copy(ROOT / "streamlit_app.py", directory)
    return directory


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[Path, dict[str, str]]]:
    """The example of `gateway serve`, running: its directory, and the ports that stand for those of the example."""
    directory = furnished(tmp_path_factory.mktemp("served"))
    ports = {"8501": str(free_port()), "9901": str(free_port())}
    [(command, shown)] = steps(blocks(SECTIONS["gateway serve"], "console")[0])
    command = with_ports(command, ports).replace("gateway", f"{BIN}/gateway", 1)
    with running(command.split(), ready_line="policy 0001", cwd=directory) as process:
        assert expected_output([with_ports(line, ports) for line in shown]).fullmatch(process.output())
        yield directory, ports


def with_ports(text: str, ports: dict[str, str]) -> str:
    for written, real in ports.items():
        text = text.replace(written, real)
    return text


def test_the_example_of_serve_serves(served):
    """The command that the manual shows for `gateway serve` serves the bundled tool."""
    assert httpx.get(f"http://127.0.0.1:{served[1]['8501']}/", trust_env=False).status_code == 200


@pytest.mark.parametrize("name", [name for name in COMMANDS if not name.endswith(" serve")])
def test_the_examples_show_what_happens(name, served, tmp_path):
    """Each example, typed as it stands, ends with exit code 0 and prints what the manual shows."""
    lives = name == "gateway health" or (name.startswith("gateway audit ") and name != "gateway audit seal")
    directory = served[0] if lives else furnished(tmp_path)
    if name == "gateway audit seal":  # of a gateway that does not run
        state = StateDirectory.prepare(directory / ".gateway")
        Ledger.open(state.audit_directory(), origin=f"{state.instance}/w0").close()
    for block in blocks(SECTIONS[name], "console"):
        for command, shown in steps(block):
            done = shell(with_ports(command, served[1]), directory)
            assert done.returncode == 0, done.stdout + done.stderr
            assert expected_output(shown).fullmatch(done.stdout), f"$ {command}\n{done.stdout}"


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_record_can_be_read_with_jq(served):
    """What the manual of the record shows for jq finds a refusal by its reason and by its path, and no gap."""
    directory, ports = served
    url = f"http://127.0.0.1:{ports['8501']}/nothing.php"
    assert httpx.get(url, trust_env=False).status_code == 404
    [block] = [
        block for block in blocks((ROOT / "docs" / "audit-record.md").read_text("utf-8"), "") if "jq -r" in block
    ]
    done = shell(f"set -e\n{block}", directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^ +\d+ not-found$", done.stdout, re.MULTILINE)
    assert re.search(r"^2\d{3}-\S+Z\t127\.0\.0\.1\tanonymous\t/nothing\.php\tnot-found$", done.stdout, re.MULTILINE)
    assert "gap" not in done.stdout


def test_health_says_why_the_gateway_is_not_ready(tmp_path):
    """When the record cannot be written, `gateway health` ends with 1 and names the cause."""
    directory, port, ops = furnished(tmp_path), free_port(), free_port()
    options = ["--port", str(port), "--ops-port", str(ops)]
    with running([BIN / "gateway", "serve", "streamlit_app.py", *options], ready_line="policy 0001", cwd=directory):
        [segment] = directory.glob(".gateway/audit/*/w0/seg-*.jsonl")
        segment.unlink()
        deadline = time.monotonic() + 10
        while (
            done := shell(f"gateway health --port {ops}", directory)
        ).returncode == 0 and time.monotonic() < deadline:
            httpx.get(f"http://127.0.0.1:{port}/.gateway/whoami", trust_env=False)
            time.sleep(0.2)
    assert done.returncode == 1
    assert "log-replaced" in done.stderr
