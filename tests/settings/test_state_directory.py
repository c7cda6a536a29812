"""The state directory: ours alone, with secrets that are made once."""

import base64
import os
import stat
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.errors import StartupError
from gateway.state.directory import StateDirectory, write_once

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_missing_directory_is_made_for_us_alone(tmp_path: Path) -> None:
    """The directory has mode 0700 and its secrets 0600, whatever the umask is."""
    previous = os.umask(0)
    try:
        state = StateDirectory.prepare(tmp_path / "a" / "state")
    finally:
        os.umask(previous)
    assert mode(state.path) == 0o700
    assert {path.name: mode(path) for path in state.path.iterdir()} == {
        "session-keys": 0o600,
        "streamlit-cookie-secret": 0o600,
        "instance": 0o600,
    }


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """A second start finds the keys, the cookie secret and the name of the first."""
    first, second = StateDirectory.prepare(tmp_path / "state"), StateDirectory.prepare(tmp_path / "state")
    assert first == second
    assert len(first.session_keys()) == 1
    assert len(first.session_keys()[0].reveal()) == 32
    assert len(base64.b64decode(first.streamlit_cookie_secret().reveal(), validate=True)) == 32
    assert first.session_keys()[0].reveal() != base64.b64decode(first.streamlit_cookie_secret().reveal())


def test_starts_at_the_same_time_agree(tmp_path: Path) -> None:
    """Of many starts at once one makes the secrets, and all of them use its."""
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: StateDirectory.prepare(tmp_path / "state"), range(64)))
    assert len(found) == 1
    assert len(list((tmp_path / "state").iterdir())) == 3


def test_two_installations_have_different_names_and_keys(tmp_path: Path) -> None:
    """The name in the record and the keys are random, one of each for every state directory."""
    one, other = StateDirectory.prepare(tmp_path / "one"), StateDirectory.prepare(tmp_path / "other")
    assert one.instance != other.instance
    assert one.session_keys() != other.session_keys()


def test_the_record_lies_below_the_instance(tmp_path: Path) -> None:
    """Each worker of each instance has a directory of its own for its record."""
    state = StateDirectory.prepare(tmp_path / "state")
    assert state.audit_directory() == tmp_path / "state" / "audit" / state.instance / "w0"


def test_a_key_put_before_the_others_is_the_newest(tmp_path: Path) -> None:
    """Rotation is a line of text: the new key on top, the old one below it."""
    state = StateDirectory.prepare(tmp_path / "state")
    file = state.path / "session-keys"
    new = base64.b64encode(bytes(range(32))).decode()
    file.write_text(f"{new}\n{file.read_text()}")
    rotated = StateDirectory.prepare(state.path).session_keys()
    assert rotated[0].reveal() == bytes(range(32))
    assert rotated[1:] == state.session_keys()


@pytest.mark.parametrize("bits", [0o750, 0o705, 0o777, 0o710])
def test_a_directory_that_others_can_open_is_refused(tmp_path: Path, bits: int) -> None:
    """A state directory with any right for the group or for others is refused, with the command that helps."""
    path = tmp_path / "state"
    path.mkdir()
    path.chmod(bits)
    with pytest.raises(StartupError, match="open to other users") as refused:
        StateDirectory.prepare(path)
    assert refused.value.hint == f"chmod 700 {path}"
    assert not list(path.iterdir())


@needs_root
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Who owns the directory can read the keys: it has to be us."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(StartupError, match="belongs to user 65534"):
        StateDirectory.prepare(path)


@needs_root
def test_a_directory_that_cannot_be_written_is_refused() -> None:
    """A state directory on a disk or with rights that do not let us write is refused before anything is served."""
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        path = Path(parent, "state")
        path.mkdir()
        path.chmod(0o500)
        os.chown(path, NOBODY, NOBODY)
        assert _as_nobody(lambda: StateDirectory.prepare(path)) == f"{path}: the state directory cannot be written"


def _as_nobody(action: Callable[[], object]) -> str:
    """The message of the StartupError that the action raises for a user who is not root."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            action()
        except StartupError as error:
            os.write(sink, str(error).encode())
        finally:
            os._exit(0)
    os.close(sink)
    os.waitpid(child, 0)
    with os.fdopen(source) as told:
        return told.read()


def test_a_file_instead_of_a_directory_is_refused(tmp_path: Path) -> None:
    """What is not a directory is not used as one."""
    (tmp_path / "state").write_text("")
    with pytest.raises(StartupError, match="cannot be opened"):
        StateDirectory.prepare(tmp_path / "state")


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """A key file that somebody opened to others is told, not used."""
    path = StateDirectory.prepare(tmp_path / "state").path / "session-keys"
    path.chmod(0o644)
    with pytest.raises(StartupError, match="not ours alone"):
        StateDirectory.prepare(tmp_path / "state")


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_a_link_in_the_place_of_a_secret_is_refused(tmp_path: Path, there: bool) -> None:
    """A secret is a file of the state directory itself; a link is not followed and not written through."""
    path, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    path.mkdir(mode=0o700)
    (path / "session-keys").symlink_to(elsewhere)
    if there:
        elsewhere.write_text(base64.b64encode(bytes(32)).decode())
        elsewhere.chmod(0o600)
    with pytest.raises(StartupError):
        StateDirectory.prepare(path)
    assert elsewhere.exists() == there


def test_a_secret_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    """Of two processes that make a secret, the second one's is thrown away, and no temporary file stays."""
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        write_once(directory, "secret", "first")
        write_once(directory, "secret", "second")
    finally:
        os.close(directory)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"secret": "first"}


DAMAGED = [
    ("empty keys", "session-keys", "\n", "is empty"),
    ("a short key", "session-keys", "c2hvcnQ=\n", "shorter than 32 bytes"),
    ("half a name", "instance", "abc\n", "not the name of an instance"),
    ("a name that leaves the directory", "instance", "../../etc/passwd\n", "not the name of an instance"),
]


@pytest.mark.parametrize(("name", "text", "message"), [row[1:] for row in DAMAGED], ids=[row[0] for row in DAMAGED])
def test_a_damaged_file_is_told_and_kept(tmp_path: Path, name: str, text: str, message: str) -> None:
    """A damaged file is never replaced by a new one in silence: sessions and the record hang on it."""
    file = StateDirectory.prepare(tmp_path / "state").path / name
    file.write_text(text)
    with pytest.raises(StartupError, match=message) as refused:
        StateDirectory.prepare(tmp_path / "state")
    assert refused.value.hint
    assert file.read_text() == text
