"""`gateway audit hash` and `gateway audit pseudonyms` as a shell sees them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.audit.mask_keys import lookup, masks_of
from gateway.state.directory import StateDirectory
from gateway.state.pseudonym_keys import PseudonymKeys
from tests.audit.reading import events
from tests.support.processes import ROOT, clean_environment

GATEWAY = Path(sys.executable).with_name("gateway")
PERSON = "j.doe@example.com"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory of a gateway that has been started once."""
    prepared = StateDirectory.prepare(tmp_path / "state")
    masks_of(prepared.path, ("session",), 90)
    return prepared.path


def run(state: Path, *arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [GATEWAY, "audit", *arguments, "--state-dir", str(state)],
        input=given,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        env=clean_environment({}),
    )


def told(state: Path) -> list[tuple[str, dict[str, object]]]:
    """What the commands' own log says: code and details."""
    [directory] = (state / "audit").glob("*/cli")
    return [(event["metadata"]["event_code"], event["unmapped"]["gateway"]["details"]) for event in events(directory)]


def test_a_known_person_is_found_without_seeing_others(state: Path) -> None:
    """The pseudonyms of a value under every key are printed; that it was asked is recorded, the value is not."""
    PseudonymKeys.below(state).add(1_790_000_000_000)
    done = run(state, "hash", "-", "--json", given=f"{PERSON}\n")
    assert (done.returncode, done.stderr) == (0, "")
    shown = json.loads(done.stdout)
    pseudonyms = lookup(state, "user", PERSON)
    assert shown["class"] == "user"
    assert [each["pseudonym"] for each in shown["under"]] == pseudonyms
    assert shown["under"][1] | {"pseudonym": ""} == {"kid": "k2", "since": 1_790_000_000_000, "pseudonym": ""}
    assert told(state) == [("audit.hash", {"class": "user", "kids": ["k1", "k2"], "pseudonyms": pseudonyms})]
    assert not [path for path in state.rglob("*") if path.is_file() and PERSON.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("value", "more", "kind"),
    [
        ("2001:DB8::7", [], "client"),
        (PERSON, [], "user"),
        ("5b0e77a1c2d94f30", ["--class", "session"], "session"),
        ("10.0.0.1", ["--class", "user"], "user"),
    ],
)
def test_what_a_value_is_may_be_said(state: Path, value: str, more: list[str], kind: str) -> None:
    """An address is a client and anything else a user, unless `--class` says otherwise."""
    done = run(state, "hash", "-", *more, given=value)
    [pseudonym] = lookup(state, kind, value)  # type: ignore[arg-type]
    assert pseudonym in done.stdout
    assert re.search(r"^k1 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ +hmac:k1:[0-9a-f]{32}$", done.stdout, re.MULTILINE)


def test_a_value_among_the_arguments_is_warned_of(state: Path) -> None:
    """An argument stands in the shell's history and in the list of processes: it works, and the command says so."""
    done = run(state, "hash", PERSON)
    assert done.returncode == 0
    assert "warning:" in done.stderr and "standard input" in done.stderr
    assert PERSON not in done.stderr


@pytest.mark.parametrize(
    ("value", "more", "said"),
    [("", [], "not one value"), ("a\nb", [], "not one value"), (PERSON, ["--class", "client"], "not an address")],
)
def test_what_cannot_be_looked_up_is_refused_unrecorded(state: Path, value: str, more: list[str], said: str) -> None:
    """Nothing is looked up for what is not one value of its class; the refusal does not repeat it."""
    done = run(state, "hash", "-", *more, given=value)
    assert done.returncode == 2
    assert said in done.stderr and PERSON not in done.stderr
    assert not (state / "audit").exists()


def test_without_a_record_nothing_is_looked_up(tmp_path: Path) -> None:
    """Keys without a gateway's state directory: it cannot be recorded that somebody asked, so there is no answer."""
    masks_of(tmp_path, ("session",), 90)
    done = run(tmp_path, "hash", "-", given=PERSON)
    assert (done.returncode, done.stdout) == (2, "")
    assert "recorded" in done.stderr
    assert run(tmp_path / "none", "hash", "-", given=PERSON).returncode == 2


def test_keys_are_listed_replaced_and_destroyed(state: Path) -> None:
    """`list` shows each key, `rotate` begins a new one, `erase` destroys one: the record says who did it and why."""
    before = lookup(state, "user", PERSON)
    assert run(state, "pseudonyms", "rotate", "--because", "the quarter has ended").stdout == "k2 is in use\n"
    assert lookup(state, "user", PERSON)[0] == before[0]
    assert run(state, "pseudonyms", "erase", "k1", "--because", "two years").stdout == "k1 is erased\n"
    assert len(lookup(state, "user", PERSON)) == 1
    listed = json.loads(run(state, "pseudonyms", "list", "--json").stdout)
    assert [(each["kid"], each["state"]) for each in listed] == [("k1", "erased"), ("k2", "in use")]
    assert re.search(r"^k2 +in use +\d{4}-", run(state, "pseudonyms", "list").stdout, re.MULTILINE)
    assert told(state) == [
        ("audit.pseudonyms", {"operation": "rotate", "because": "the quarter has ended"}),
        ("audit.pseudonyms", {"operation": "erase", "kid": "k1", "because": "two years"}),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["erase", "k9", "--because", "x"], "k9: no such key"),
        (["erase", "../k1", "--because", "x"], "no such key"),
        (["erase", "k1", "--because", " "], "--because"),
        (["erase", "k1"], "--because"),
        (["rotate"], "--because"),
    ],
)
def test_what_is_not_said_clearly_changes_nothing(state: Path, arguments: list[str], said: str) -> None:
    """A key that is not there, or no reason: exit 2, nothing is changed, nothing recorded."""
    done = run(state, "pseudonyms", *arguments)
    assert done.returncode == 2
    assert said in re.sub(r"\x1b\[[0-9;]*m", "", done.stderr)
    assert PseudonymKeys.below(state).names() == {"k1"}
    assert not (state / "audit").exists()


def test_a_damaged_key_can_be_destroyed(state: Path) -> None:
    """A key that nobody can read stops every look-up, says where it is, and can be erased."""
    (state / "keys" / "pseudonyms" / "k1").write_text("damaged")
    refused = run(state, "hash", "-", given=PERSON)
    assert refused.returncode == 2 and "keys/pseudonyms/k1" in refused.stderr
    assert run(state, "pseudonyms", "erase", "k1", "--because", "damaged").returncode == 0
    assert PseudonymKeys.below(state).live() == ()
