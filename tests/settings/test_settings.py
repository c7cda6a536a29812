"""Settings: where they come from, what is refused, and how it is told."""

import dataclasses
import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.errors import Problem, SettingsError
from gateway.settings import SETTINGS, Settings
from gateway.state.secrets import Secret
from tests.support.processes import ROOT

KEY = "q2VwaXJ0ZXN0LWtleS1vZi10aGlydHktdHdvLWJ5dGU="  # 32 bytes
OTHER = "b3RoZXItdGVzdC1rZXktb2YtdGhpcnR5LXR3by1ieXQ="


def problems(environ: Mapping[str, str], **overrides: object) -> list[Problem]:
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ, **overrides)
    return list(caught.value.problems)


def secret_file(directory: Path, text: str, mode: int = 0o600) -> str:
    path = directory / "keys"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_without_anything_the_defaults_hold() -> None:
    """An empty environment serves the bundled tool on loopback, with no operations listener."""
    settings = Settings.load({})
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8501)
    assert settings.ops.port is None
    assert settings.script == Path("streamlit_app.py")
    assert settings.session.keys == ()


def test_a_flag_wins_over_the_environment_and_that_over_the_default() -> None:
    """Precedence is flag, environment variable, default; a flag of None was not given."""
    environ = {"GATEWAY_SERVER__PORT": "8600", "GATEWAY_SERVER__HOST": "0.0.0.0", "GATEWAY_POLICIES": "a"}
    settings = Settings.load(environ, server__port=8700, server__host=None, policies=Path("b"))
    assert settings.server.port == 8700
    assert settings.server.host == "0.0.0.0"
    assert settings.policies == Path("b")


ACCEPTED = [
    ("a port", "GATEWAY_SERVER__PORT", "65535", "server.port", 65535),
    ("a fraction of a second", "GATEWAY_SERVER__HEAD_TIMEOUT", "0.5", "server.head_timeout", 0.5),
    ("whole seconds", "GATEWAY_AUDIT__ACK_TIMEOUT", "3", "audit.ack_timeout", 3.0),
    ("a base path", "GATEWAY_SERVER__BASE_PATH", "/tools/ledger", "server.base_path", "/tools/ledger"),
    ("an empty base path", "GATEWAY_SERVER__BASE_PATH", "", "server.base_path", ""),
    ("IPv6", "GATEWAY_SERVER__HOST", "::", "server.host", "::"),
    ("another loopback", "GATEWAY_OPS__HOST", "127.0.0.9", "ops.host", "127.0.0.9"),
    ("IPv6 loopback", "GATEWAY_OPS__HOST", "::1", "ops.host", "::1"),
    ("degrade", "GATEWAY_AUDIT__ON_FAILURE", "degrade", "audit.on_failure", "degrade"),
    ("a name with an accent", "GATEWAY_BRAND__NAME", "Crédit Bâle", "brand.name", "Crédit Bâle"),
    ("kinds of a list", "GATEWAY_AUDIT__PSEUDONYMS", "user, client", "audit.pseudonyms", ("user", "client")),
    ("a kind twice", "GATEWAY_AUDIT__PSEUDONYMS", "session session", "audit.pseudonyms", ("session",)),
    ("no kind", "GATEWAY_AUDIT__PSEUDONYMS", "none", "audit.pseudonyms", ("none",)),
    ("one MiB", "GATEWAY_AUDIT__SEGMENT_SIZE", "1048576", "audit.segment_size", 1048576),
]


@pytest.mark.parametrize(
    ("variable", "text", "place", "expected"), [row[1:] for row in ACCEPTED], ids=[r[0] for r in ACCEPTED]
)
def test_a_value_is_converted(variable: str, text: str, place: str, expected: object) -> None:
    """Text from the environment becomes a value of the setting's type."""
    found: object = Settings.load({variable: text})
    for name in place.split("."):
        found = getattr(found, name)
    assert found == expected


REFUSED = [
    ("a port out of range", "GATEWAY_SERVER__PORT", "65536"),
    ("port zero", "GATEWAY_SERVER__PORT", "0"),
    ("a port that is a word", "GATEWAY_SERVER__PORT", "http"),
    ("a port with a space", "GATEWAY_SERVER__PORT", " 8501"),
    ("an empty port", "GATEWAY_SERVER__PORT", ""),
    ("a negative time", "GATEWAY_SERVER__IDLE_TIMEOUT", "-1"),
    ("no time", "GATEWAY_SERVER__IDLE_TIMEOUT", "0"),
    ("not a number", "GATEWAY_SERVER__IDLE_TIMEOUT", "nan"),
    ("for ever", "GATEWAY_SERVER__IDLE_TIMEOUT", "inf"),
    ("a unit", "GATEWAY_SERVER__IDLE_TIMEOUT", "10s"),
    ("a base path without slash", "GATEWAY_SERVER__BASE_PATH", "tools"),
    ("a base path with a slash at its end", "GATEWAY_SERVER__BASE_PATH", "/tools/"),
    ("a base path of dots", "GATEWAY_SERVER__BASE_PATH", "/../etc"),
    ("an encoded base path", "GATEWAY_SERVER__BASE_PATH", "/a%2fb"),
    ("a base path of the network kind", "GATEWAY_SERVER__BASE_PATH", "//evil.example"),
    ("a line end in a base path", "GATEWAY_SERVER__BASE_PATH", "/tools\n"),
    ("a host with a space", "GATEWAY_SERVER__HOST", "a b"),
    ("an empty host", "GATEWAY_SERVER__HOST", ""),
    ("operations on every interface", "GATEWAY_OPS__HOST", "0.0.0.0"),
    ("operations on a private address", "GATEWAY_OPS__HOST", "10.0.0.1"),
    ("operations on a name", "GATEWAY_OPS__HOST", "localhost"),
    ("operations on the public port", "GATEWAY_OPS__PORT", "8501"),
    ("a colour by name", "GATEWAY_BRAND__COLOUR", "navy"),
    ("a colour that closes the style", "GATEWAY_BRAND__COLOUR", "#000;}*{x:y"),
    ("a brand of two lines", "GATEWAY_BRAND__NAME", "a\nb"),
    ("an unknown choice", "GATEWAY_AUDIT__ON_FAILURE", "allow"),
    ("a choice in capitals", "GATEWAY_LOG__LEVEL", "INFO"),
    ("more connections for one than for all", "GATEWAY_SERVER__MAX_CONNECTIONS_PER_ADDRESS", "5000"),
    ("a tiny segment", "GATEWAY_AUDIT__SEGMENT_SIZE", "1024"),
    ("an unknown kind", "GATEWAY_AUDIT__PSEUDONYMS", "session,group"),
    ("an empty list", "GATEWAY_AUDIT__PSEUDONYMS", ""),
    ("a list of nothing", "GATEWAY_AUDIT__PSEUDONYMS", " , "),
    ("none and one", "GATEWAY_AUDIT__PSEUDONYMS", "none,session"),
    ("an empty directory", "GATEWAY_STATE_DIR", ""),
    ("a logo that is not there", "GATEWAY_BRAND__LOGO", "no-such-logo.svg"),
    ("a key that is not base64", "GATEWAY_SESSION__KEYS", "not*base64*at*all*not*base64*at*all*not*base64"),
    ("a short key", "GATEWAY_SESSION__KEYS", "c2hvcnQ="),
    ("no key", "GATEWAY_SESSION__KEYS", " , "),
    ("the same key twice", "GATEWAY_SESSION__KEYS", f"{KEY},{KEY}"),
    ("a second key that is short", "GATEWAY_SESSION__KEYS", f"{KEY},c2hvcnQ="),
]


@pytest.mark.parametrize(("variable", "text"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_bad_value_is_refused_with_its_place_and_a_hint(variable: str, text: str) -> None:
    """A value that is not what the setting wants is an error at the name of the variable, with what to write."""
    (problem,) = problems({variable: text})
    assert problem.place == variable
    assert problem.hint


def test_every_problem_is_reported_at_once() -> None:
    """One start tells everything that is wrong, with flags named as flags."""
    environ = {"GATEWAY_LOG__LEVEL": "loud", "GATEWAY_SESSION__KEYS": "x", "GATEWAY_NOPE": "1"}
    places = [problem.place for problem in problems(environ, server__port=0, ops__host="10.0.0.1", state_dir="")]
    assert sorted(places) == [
        "--ops-host",
        "--port",
        "--state-dir",
        "GATEWAY_LOG__LEVEL",
        "GATEWAY_NOPE",
        "GATEWAY_SESSION__KEYS",
    ]


UNKNOWN = [
    ("one underscore", "GATEWAY_OPS_PORT", "did you mean GATEWAY_OPS__PORT?"),
    ("American spelling", "GATEWAY_BRAND__COLOR", "did you mean GATEWAY_BRAND__COLOUR?"),
    ("a letter too few", "GATEWAY_POLICES", "did you mean GATEWAY_POLICIES?"),
    ("a file of what is no secret", "GATEWAY_SERVER__PORT_FILE", "did you mean GATEWAY_SERVER__PORT?"),
    ("a service link of Kubernetes", "GATEWAY_PORT_8501_TCP_ADDR", "enableServiceLinks"),
    ("another one", "GATEWAY_SERVICE_PORT_HTTP", "enableServiceLinks"),
    ("nothing like it", "GATEWAY_X", "docs/settings.md"),
]


@pytest.mark.parametrize(("variable", "hint"), [row[1:] for row in UNKNOWN], ids=[row[0] for row in UNKNOWN])
def test_an_unknown_variable_is_an_error_with_a_suggestion(variable: str, hint: str) -> None:
    """A GATEWAY_ variable that we do not know is a typing mistake that must not pass unseen."""
    (problem,) = problems({variable: "1"})
    assert (problem.place, problem.message) == (variable, "unknown setting")
    assert hint in (problem.hint or "")


def test_other_variables_are_none_of_our_business() -> None:
    """Only names with our prefix are looked at."""
    assert Settings.load({"PATH": "/bin", "STREAMLIT_SERVER_PORT": "1", "gateway_x": "1", "_GATEWAY_X": "1"})


def test_keys_come_newest_first_from_the_variable_or_the_file(tmp_path: Path) -> None:
    """A secret is given in the environment, or in a file that a variable names, in either base64 alphabet."""
    direct = Settings.load({"GATEWAY_SESSION__KEYS": f"{KEY}, {OTHER}"}).session.keys
    url_safe = KEY.replace("+", "-").replace("/", "_").rstrip("=")
    path = secret_file(tmp_path, f"# rotated in March\n{url_safe}\n\n{OTHER}  # old\n")
    assert Settings.load({"GATEWAY_SESSION__KEYS_FILE": path}).session.keys == direct
    assert direct[0].reveal() != direct[1].reveal()


BAD_FILES = [
    ("missing", None, 0o600, "no such file"),
    ("empty", "\n", 0o600, "is empty"),
    ("readable by everybody", KEY, 0o644, "open to other users"),
    ("writable by the group", KEY, 0o660, "open to other users"),
    ("short key", "c2hvcnQ=", 0o600, "shorter than 32 bytes"),
    ("too big", "x" * 70_000, 0o600, "bigger than"),
]


@pytest.mark.parametrize(("text", "mode", "message"), [row[1:] for row in BAD_FILES], ids=[row[0] for row in BAD_FILES])
def test_a_secret_file_that_is_not_secret_is_refused(tmp_path: Path, text: str | None, mode: int, message: str) -> None:
    """A secret's file exists, holds keys, and is closed to other users; else the error is at the _FILE variable."""
    path = str(tmp_path / "none") if text is None else secret_file(tmp_path, text, mode)
    (problem,) = problems({"GATEWAY_SESSION__KEYS_FILE": path})
    assert problem.place == "GATEWAY_SESSION__KEYS_FILE"
    assert message in problem.message


def test_a_group_may_read_a_secret_and_a_link_may_lead_to_it(tmp_path: Path) -> None:
    """Orchestrators mount secrets as links to files of mode 0440: both are fine."""
    (tmp_path / "link").symlink_to(secret_file(tmp_path, KEY, 0o440))
    assert len(Settings.load({"GATEWAY_SESSION__KEYS_FILE": str(tmp_path / "link")}).session.keys) == 1


def test_a_fifo_does_not_hang_the_start(tmp_path: Path) -> None:
    """A secret that is no regular file is refused at once."""
    os.mkfifo(tmp_path / "fifo", 0o600)
    (problem,) = problems({"GATEWAY_SESSION__KEYS_FILE": str(tmp_path / "fifo")})
    assert "not a regular file" in problem.message


def test_a_secret_is_given_once(tmp_path: Path) -> None:
    """The variable and its _FILE twin together are an error: nobody can tell which one was meant."""
    environ = {"GATEWAY_SESSION__KEYS": KEY, "GATEWAY_SESSION__KEYS_FILE": secret_file(tmp_path, OTHER)}
    (problem,) = problems(environ)
    assert "set together with GATEWAY_SESSION__KEYS" in problem.message


def test_a_secret_never_shows(tmp_path: Path) -> None:
    """No repr, string, copy, pickle or error carries the value of a secret."""
    settings = Settings.load({"GATEWAY_SESSION__KEYS": KEY})
    value = settings.session.keys[0].reveal()
    shown = (
        f"{settings!r} {settings} {dataclasses.asdict(settings)} {settings.session.keys[0]!s} {settings.session.keys}"
    )
    assert KEY not in shown
    assert repr(value)[2:-1] not in shown
    with pytest.raises(TypeError):
        pickle.dumps(settings.session.keys[0])
    bad = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
    for environ in ({"GATEWAY_SESSION__KEYS": bad}, {"GATEWAY_SESSION__KEYS_FILE": secret_file(tmp_path, bad)}):
        (problem,) = problems(environ)
        assert bad not in f"{problem!r}"
        assert "secret-secret" not in f"{problem!r}"


def test_a_secret_does_not_change_and_compares_by_value() -> None:
    """Secrets of the same value are equal; none of them can be written over."""
    secret = Secret(b"x" * 32)
    assert secret == Secret(b"x" * 32)
    assert secret != Secret(b"y" * 32)
    with pytest.raises(AttributeError):
        secret._value = b"z"


def test_tls_needs_certificate_and_key(tmp_path: Path) -> None:
    """A certificate without key, a key without certificate and a client CA without both are errors."""
    for name in ("cert", "key"):
        (tmp_path / name).write_text("-----BEGIN-----")
        (tmp_path / name).chmod(0o600)
    cert, key = str(tmp_path / "cert"), str(tmp_path / "key")
    assert Settings.load({"GATEWAY_SERVER__TLS_CERTIFICATE": cert, "GATEWAY_SERVER__TLS_KEY": key}).server.tls_key
    assert problems({"GATEWAY_SERVER__TLS_CERTIFICATE": cert})[0].place == "GATEWAY_SERVER__TLS_KEY"
    assert problems({"GATEWAY_SERVER__TLS_KEY": key})[0].place == "GATEWAY_SERVER__TLS_CERTIFICATE"
    assert problems({"GATEWAY_SERVER__TLS_CLIENT_CA": cert})[0].place == "GATEWAY_SERVER__TLS_CLIENT_CA"
    (tmp_path / "key").chmod(0o644)
    (problem,) = problems({"GATEWAY_SERVER__TLS_CERTIFICATE": cert}, server__tls_key=key)
    assert problem.place == "--tls-key"
    assert "open to other users" in problem.message


LOGOS = [
    ("a small drawing", "logo.svg", 100, None),
    ("a big picture", "logo.png", 70_000, "bigger than 64 KiB"),
    ("another kind of file", "logo.exe", 100, "not a kind of image"),
]


@pytest.mark.parametrize(("name", "size", "message"), [row[1:] for row in LOGOS], ids=[row[0] for row in LOGOS])
def test_a_logo_is_a_small_image(tmp_path: Path, name: str, size: int, message: str | None) -> None:
    """The logo is part of every refusal, so it is small."""
    (tmp_path / name).write_bytes(b"x" * size)
    environ = {"GATEWAY_BRAND__LOGO": str(tmp_path / name)}
    if message is None:
        assert Settings.load(environ).brand.logo == tmp_path / name
    else:
        assert message in problems(environ)[0].message


def test_an_override_that_is_no_setting_is_a_bug() -> None:
    """A flag that is wired to no setting fails for the developer, not for the user."""
    with pytest.raises(TypeError, match="server__prot"):
        Settings.load({}, server__prot=1)


def test_every_setting_stands_in_the_manual_with_its_default() -> None:
    """docs/settings.md has a row for every setting with its default, and no row for anything else."""
    text = (ROOT / "docs" / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `(GATEWAY_\w+)` \| (.+?) \|", text, re.MULTILINE))
    assert sorted(rows) == sorted(each.variable for each in SETTINGS)
    for each in SETTINGS:
        made = each.variable == "GATEWAY_SESSION__KEYS"
        assert rows[each.variable] == ("made in the state directory" if made else _written(each.default)), each.variable


def _written(default: object) -> str:
    if default is None:
        return "none"
    if isinstance(default, tuple):
        return f"`{','.join(default)}`" if default else "empty"
    if isinstance(default, float):
        return f"`{default:g}`"
    return f"`{default}`" if default != "" else "empty"
