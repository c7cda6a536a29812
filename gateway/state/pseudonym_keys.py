"""The keys of pseudonyms, on the disk: made, replaced by a newer one, and destroyed.

    <state>/keys/pseudonyms/k1          when it was made (milliseconds since 1970) and the key, base64; 0600
    <state>/keys/pseudonyms/k1.erased   that it is destroyed, and when: its number is never given again

The newest key masks; the others find what they have masked. A file is never written over but to destroy it.
"""

import base64
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import StartupError
from gateway.state.directory import write_once
from gateway.state.secrets import KEY_BYTES, Secret, parse_keys, read_secret_descriptor

_KEY: Final = re.compile(r"k([1-9][0-9]{0,8})", re.ASCII)
_ERASED: Final = ".erased"
_RESTORE: Final = "restore it from a backup, or destroy it with `gateway audit pseudonyms erase`"
_PRIVATE: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """A key, its name (`k1`, `k2`, …), and when it was made, in milliseconds since 1970."""

    kid: str
    since: int
    secret: Secret


@dataclass(frozen=True, slots=True)
class ErasedKey:
    """A key that is gone, and since when, in milliseconds since 1970."""

    kid: str
    erased: int


@dataclass(frozen=True, slots=True)
class PseudonymKeys:
    """The keys below one state directory. Nothing is remembered here: what is asked is read."""

    directory: Path

    @classmethod
    def below(cls, state: Path) -> "PseudonymKeys":
        """Those of the gateway with this state directory."""
        return cls(state / "keys" / "pseudonyms")

    def names(self) -> frozenset[str]:
        """The names of all files: when they are the same, so are the keys."""
        try:
            return frozenset(name for name in os.listdir(self.directory) if not name.startswith("."))  # noqa: PTH208
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise self._unusable(error) from error

    def live(self) -> tuple[PseudonymKey, ...]:
        """The keys that there are, oldest first.

        Raises:
            StartupError: the directory or a key cannot be read, others can read a key, or it is damaged.
        """
        names = self.names()
        numbers = sorted(int(found[1]) for name in names if (found := _KEY.fullmatch(name)))
        return tuple(self._read(f"k{number}") for number in numbers if f"k{number}{_ERASED}" not in names)

    def erased(self) -> tuple[ErasedKey, ...]:
        """The keys that are gone, oldest first."""
        kids = [name.removesuffix(_ERASED) for name in self.names() if name.endswith(_ERASED)]
        known = sorted((kid for kid in kids if _KEY.fullmatch(kid)), key=lambda kid: int(kid[1:]))
        return tuple(ErasedKey(kid, self._erased_at(kid)) for kid in known)

    def add(self, now: int) -> PseudonymKey:
        """A new key, on the disk, from now on the newest. `now` in milliseconds.

        Of two processes that do it at once, both may come to the same key, or each to one of its own.

        Raises:
            StartupError: it cannot be made.
        """
        numbers = [int(found[1]) for name in self.names() if (found := _KEY.fullmatch(name.removesuffix(_ERASED)))]
        kid = f"k{max(numbers, default=0) + 1}"
        self._write(kid, f"{now} {base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}\n")
        return self._read(kid)

    def has(self, kid: str) -> bool:
        """Whether there is such a key, readable or not."""
        names = self.names()
        return _KEY.fullmatch(kid) is not None and kid in names

    def erase(self, kid: str, now: int) -> None:
        """Destroy a key: what it has masked can be found by nobody any more. It need not be readable.

        It is written over, then removed, both on the disk when this returns. A file system that keeps old blocks
        (copy on write, snapshots, flash) and a backup still have it: destroy those yourself.

        Raises:
            StartupError: it cannot be destroyed; it is not used any more if its `.erased` could be written.
        """
        if _KEY.fullmatch(kid) is None:
            raise ValueError(f"not the name of a key: {kid!r}")
        # First, so that nobody uses the key however far we come, and its number is not given again.
        self._write(kid + _ERASED, f"{now}\n")
        try:
            with _opened(self.directory) as directory:
                _destroy(directory, kid)
        except OSError as error:
            raise self._unusable(error) from error

    def _write(self, name: str, text: str) -> None:
        try:
            for each in (self.directory.parent, self.directory):
                each.mkdir(mode=0o700, exist_ok=True)
            with _opened(self.directory) as directory:
                write_once(directory, name, text)
        except OSError as error:
            raise self._unusable(error) from error

    def _read(self, kid: str) -> PseudonymKey:
        path = self.directory / kid
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise StartupError(f"{path}: cannot be read: {_cause(error)}", _RESTORE) from error
        try:
            status = os.fstat(descriptor)
            if status.st_uid != os.geteuid() or status.st_mode & _PRIVATE:
                hint = f"chmod 600 {path}, with the gateway's user as its owner"
                raise StartupError(f"{path}: not ours alone", hint)
            return _parsed(kid, read_secret_descriptor(descriptor))
        except ValueError as error:
            raise StartupError(f"{path}: {error}", _RESTORE) from None
        finally:
            os.close(descriptor)

    def _erased_at(self, kid: str) -> int:
        try:
            return int((self.directory / f"{kid}{_ERASED}").read_text("ascii"))
        except (OSError, ValueError):
            return 0

    def _unusable(self, error: OSError) -> StartupError:
        hint = "make it readable and writable for the gateway's user: without its key no pseudonym can be made"
        return StartupError(f"{self.directory}: cannot be used: {_cause(error)}", hint)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The directory as a descriptor."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _destroy(directory: int, name: str) -> None:
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return
    try:
        os.write(descriptor, secrets.token_bytes(max(os.fstat(descriptor).st_size, KEY_BYTES)))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.unlink(name, dir_fd=directory)
    os.fsync(directory)


def _parsed(kid: str, text: str) -> PseudonymKey:
    since, _, key = text.strip().partition(" ")
    if not (since.isascii() and since.isdigit()):
        raise ValueError("not a key of pseudonyms")
    return PseudonymKey(kid, int(since), parse_keys(key)[0])


def _cause(error: OSError) -> str:
    return (error.strerror or "unknown error").lower()
