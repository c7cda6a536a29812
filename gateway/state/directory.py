"""The state directory: the record, the keys and the identity of this instance, in one place that only we can open.

    <state>/session-keys              keys of the session cookie, one a line, newest first
    <state>/streamlit-cookie-secret   key of Streamlit's own cookies
    <state>/instance                  the name of this instance in the record, made once
    <state>/audit/<instance>/<worker> the record
    <state>/keys/pseudonyms           keys of the pseudonyms in it, see `pseudonym_keys.py`
    <state>/cache                     what can be made again, and may be removed at any time

Files are made at the first start and never written over. To rotate a key, put the new one on a line before the others.
"""

import base64
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gateway.errors import StartupError
from gateway.state.secrets import KEY_BYTES, MAKE_KEY, Secret, parse_keys, read_secret_descriptor

SESSION_KEYS = "session-keys"
STREAMLIT_COOKIE_SECRET = "streamlit-cookie-secret"  # noqa: S105 - the name of a file
INSTANCE = "instance"
INSTANCE_BYTES = 8  # 64 random bits: replicas of one installation do not meet by chance


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """A prepared state directory: ours, mode 0700, with its secrets. `instance` names us in the record."""

    path: Path
    instance: str
    _session_keys: tuple[Secret, ...]
    _streamlit_cookie_secret: Secret

    @classmethod
    def prepare(cls, path: Path) -> Self:
        """The directory at `path`, made when it is missing, with secrets made when they are missing.

        Safe to call from several processes at once: the first one's secrets stay.

        Raises:
            StartupError: it belongs to somebody else, others can open it, it cannot be written, or a file in it is
                damaged.
        """
        with _opened(path) as directory:
            _check_directory(path, directory)
            session_keys = _keys(path, directory, SESSION_KEYS)
            cookie_secret = _keys(path, directory, STREAMLIT_COOKIE_SECRET)[0]
            instance = _instance(path, directory)
        return cls(path.resolve(), instance, session_keys, cookie_secret)

    @staticmethod
    def inspect(path: Path) -> None:
        """See whether the directory, or the one that it would be made in, can be used. Makes and changes nothing.

        Raises:
            StartupError: as `prepare` would.
        """
        existing = next(place for place in (path, *path.absolute().parents) if place.exists())
        if existing is path:
            with _opened(path) as directory:
                _check_directory(path, directory)
        elif not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK, effective_ids=True):
            raise StartupError(f"{path}: the state directory cannot be made in {existing}", _CHOOSE)

    def session_keys(self) -> tuple[Secret, ...]:
        """The keys that seal the session cookie, newest first; at least one."""
        return self._session_keys

    def streamlit_cookie_secret(self) -> Secret:
        """The key of Streamlit's own cookies (`server.cookieSecret`): base64 text of 32 random bytes."""
        return Secret(base64.b64encode(self._streamlit_cookie_secret.reveal()))

    def audit_directory(self, worker: str = "w0") -> Path:
        """Where a worker of this instance keeps its record, which makes it: `<state>/audit/<instance>/<worker>`."""
        return self.path / "audit" / self.instance / worker

    def cache_directory(self) -> Path:
        """Where to keep what can be made again; whoever writes there makes it."""
        return self.path / "cache"


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The directory as a descriptor: what is checked is then what is used, whatever happens to the path meanwhile."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        cause = (error.strerror or "unknown error").lower()
        raise StartupError(f"{path}: the state directory cannot be opened: {cause}", _CHOOSE) from error
    try:
        yield descriptor
    except OSError as error:
        cause = (error.strerror or "unknown error").lower()
        raise StartupError(f"{path}: the state directory cannot be used: {cause}", _CHOOSE) from error
    finally:
        os.close(descriptor)


_CHOOSE = "set GATEWAY_STATE_DIR to a directory that the gateway's user can write, or may make"


def _check_directory(path: Path, directory: int) -> None:
    status = os.fstat(directory)
    if status.st_uid != os.geteuid():
        raise StartupError(
            f"{path}: the state directory belongs to user {status.st_uid}, and we are {os.geteuid()}",
            f"name a directory in it, such as {path / 'state'}, which the gateway then makes, or change its owner",
        )
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise StartupError(f"{path}: the state directory is open to other users (mode {mode:04o})", f"chmod 700 {path}")
    if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
        raise StartupError(f"{path}: the state directory cannot be written", _CHOOSE)


def _keys(path: Path, directory: int, name: str) -> tuple[Secret, ...]:
    text = _read_or_make(path, directory, name, _new_key)
    try:
        return parse_keys(text)
    except ValueError as error:
        raise StartupError(
            f"{path / name}: {error}", f"write one key a line, newest first, made with `{MAKE_KEY}`"
        ) from None


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _instance(path: Path, directory: int) -> str:
    name = _read_or_make(path, directory, INSTANCE, lambda: secrets.token_hex(INSTANCE_BYTES)).strip()
    # It becomes part of a path.
    if len(name) != 2 * INSTANCE_BYTES or not set(name) <= set("0123456789abcdef"):
        raise StartupError(
            f"{path / INSTANCE}: not the name of an instance", "restore it from a backup: the record lies under it"
        )
    return name


def _read_or_make(path: Path, directory: int, name: str, make: Callable[[], str]) -> str:
    """The text of a file in the directory; made first when it is missing."""
    try:
        return _read(path, directory, name)
    except FileNotFoundError:
        write_once(directory, name, make() + "\n")
    return _read(path, directory, name)  # as it is on the disk: another process may have been first


def _read(path: Path, directory: int, name: str) -> str:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise StartupError(
                f"{path / name}: not ours alone", f"chmod 600 {path / name}, with the gateway's user as its owner"
            )
        return read_secret_descriptor(descriptor)
    except ValueError as error:
        raise StartupError(
            f"{path / name}: {error}", "restore it from a backup, or remove it: a new one is made then"
        ) from None
    finally:
        os.close(descriptor)


def write_once(directory: int, name: str, text: str) -> None:
    """A new file with this text, complete and on the disk, or no file; one that is already there stays as it is."""
    temporary = f".{name}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A link, because a rename would write over the file of a process that was first.
        os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary, dir_fd=directory)
    os.fsync(directory)
