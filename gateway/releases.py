"""Policies on disk: reading them, checking them against the lock, releasing and activating revisions.

A directory of policies holds `NNNN-name.toml` files, network files below `networks/`, and `policies.lock`. Everything
here works on files; who holds the active policy of a running gateway is `revisions.py`.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from gateway.errors import PolicyError, Problem
from gateway.model import Policy
from gateway.policy.digest import file_digest
from gateway.policy.examples import TestOutcome, run_tests
from gateway.policy.language import NETWORK_BYTES
from gateway.policy.lock import LOCK_FILE, Lock, LockedRevision, altered, parse_lock, render_lock, revision_of
from gateway.policy.parse import PolicySource, parse_policy, referenced_files

# --- reading --------------------------------------------------------------------------------------------------


def policy_files(directory: Path) -> tuple[str, ...]:
    """The names of the policy files in the directory, sorted.

    Raises:
        PolicyError: the directory cannot be read, a `.toml` file is not named like a policy, or a number is used twice.
    """
    try:
        files = sorted(path.name for path in directory.glob("*.toml"))
    except OSError as error:
        raise _cannot_read(directory, error) from error
    problems = []
    seen: dict[str, str] = {}
    for file in files:
        number = revision_of(file)
        if number is None:
            hint = "names are four digits, a dash, and a kebab-case name: 0002-add-branch-office.toml"
            problems.append(Problem(str(directory / file), "is not named like a policy", hint))
        elif seen.setdefault(number, file) != file:
            problems.append(Problem(str(directory / file), f"has the same number as {seen[number]}"))
    if problems:
        raise PolicyError(problems)
    return tuple(files)


def read_source(directory: Path, file: str) -> PolicySource:
    """A policy file and the network files that it names, as bytes.

    Raises:
        PolicyError: the policy file cannot be read or is not named like one.
    """
    path = directory / file
    revision = revision_of(file)
    if revision is None:
        raise PolicyError(
            [Problem(str(path), "is not named like a policy", "names are like 0002-add-branch-office.toml")]
        )
    data = _read(directory, file)
    if data is None:
        raise PolicyError([Problem(str(path), "cannot be read")])
    files = {name: _read(directory, name) for name in referenced_files(data)}
    return PolicySource(str(path), revision, data, files)


def read_lock(directory: Path) -> Lock:
    """The lock of the directory.

    Raises:
        PolicyError: there is none, or it is wrong.
    """
    place = str(directory / LOCK_FILE)
    data = _read(directory, LOCK_FILE)
    if data is None:
        hint = "name the directory of the policies, or release a first one: gateway policy release"
        raise PolicyError([Problem(place, "cannot be read", hint)])
    return parse_lock(data, place)


def _read(directory: Path, name: str) -> bytes | None:
    """The bytes of a regular file below the directory; None for everything that is not one or cannot be read.

    Links are followed as long as they stay below the directory, as the mounts of Kubernetes need it.
    """
    path = directory / name
    try:
        if not path.resolve(strict=True).is_relative_to(directory.resolve(strict=True)) or not path.is_file():
            return None
        with path.open("rb") as stream:
            # One byte more than anything may have: the parser then says that the file is too large.
            return stream.read(NETWORK_BYTES + 1)
    except OSError:
        return None


# --- the lock against the files -------------------------------------------------------------------------------


def verify(directory: Path, lock: Lock) -> tuple[Problem, ...]:
    """A problem for each released file that is not, byte for byte, what was released."""
    found: dict[str, str | None] = {}
    problems = []
    for locked in lock.revisions.values():
        for name, digest in {locked.file: locked.sha256, **locked.networks}.items():
            if name not in found:
                data = _read(directory, name)
                found[name] = None if data is None else file_digest(data)
            if found[name] != digest:
                problems.append(altered(str(directory / name), locked, found[name]))
    return tuple(problems)


def load_released(directory: Path, locked: LockedRevision, today: date) -> Policy:
    """The policy of a released revision, from files that are what was released at the moment they are used.

    Raises:
        PolicyError: it is not what was released, or not valid today.
    """
    source = read_source(directory, locked.file)
    actual = _locked(source)
    if actual != locked:
        # Read once for judging and once for verifying, a file could be exchanged in between: judge what was read.
        changed = verify(directory, Lock(locked.revision, {locked.revision: locked}))
        raise PolicyError(changed or [altered(source.file, locked, "")])
    return parse_policy(source, today=today)


def _locked(source: PolicySource) -> LockedRevision:
    networks = {path: file_digest(data) for path, data in source.files.items() if data is not None}
    return LockedRevision(source.revision, Path(source.file).name, file_digest(source.data), networks)


# --- releasing ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Released:
    """The revision is in the lock and active."""

    policy: Policy
    outcomes: tuple[TestOutcome, ...]


@dataclass(frozen=True, slots=True)
class TestsFailed:
    """Nothing was changed: the policy does not do what its own tests say."""

    __test__ = False  # not a test of pytest, whatever its name

    policy: Policy
    outcomes: tuple[TestOutcome, ...]


def release(directory: Path, revision: str | None, today: date) -> Released | TestsFailed:
    """Check a revision and its tests, add it to the lock and make it active.

    `revision` is a number or a file name; None stands for the one file that is not released yet.

    Raises:
        PolicyError: the policy, the lock or a released file is wrong; nothing was changed.
    """
    with _exclusive(directory):
        lock = read_lock(directory) if os.path.lexists(directory / LOCK_FILE) else Lock()
        _raise_any(verify(directory, lock))
        file = _unreleased(directory, lock, revision)
        source = read_source(directory, file)
        policy = parse_policy(source, today=today)
        outcomes = run_tests(policy)
        if not all(outcome.passed for outcome in outcomes):
            return TestsFailed(policy, outcomes)
        _write_lock(directory, lock.released(_locked(source)))
        return Released(policy, outcomes)


def activate(directory: Path, revision: str, today: date) -> Released | TestsFailed:
    """Make another released revision the active one, after the same checks as for a release.

    Raises:
        PolicyError: there is no such released revision, or it is not valid; nothing was changed.
    """
    with _exclusive(directory):
        lock = read_lock(directory)
        locked = lock.revisions.get(revision)
        if locked is None:
            hint = f"released are {', '.join(sorted(lock.revisions))}"
            raise PolicyError([Problem(str(directory / LOCK_FILE), f"revision {revision!r} is not released", hint)])
        _raise_any(verify(directory, lock))
        policy = load_released(directory, locked, today)
        outcomes = run_tests(policy)
        if not all(outcome.passed for outcome in outcomes):
            return TestsFailed(policy, outcomes)
        _write_lock(directory, lock.activated(revision))
        return Released(policy, outcomes)


def _unreleased(directory: Path, lock: Lock, revision: str | None) -> str:
    """The file to release, newer than every released one."""
    files = {number: file for file in policy_files(directory) if (number := revision_of(file))}
    place = str(directory)
    if revision is None:
        drafts = sorted(files.keys() - lock.revisions.keys())
        if len(drafts) != 1:
            found = ", ".join(drafts) or "none"
            raise PolicyError(
                [Problem(place, f"not exactly one revision is unreleased: {found}", "name the one to release")]
            )
        revision = drafts[0]
    number = revision_of(revision) or revision
    if number not in files or revision not in (number, files[number]):
        raise PolicyError(
            [Problem(place, f"there is no revision {revision!r}", f"there are {', '.join(sorted(files))}")]
        )
    if number in lock.revisions:
        hint = f"make it active again: gateway policy activate {number}"
        raise PolicyError([Problem(str(directory / files[number]), "is already released", hint)])
    if lock.revisions and number < max(lock.revisions):
        hint = "give it the next number, so that the order of the files is the order of the releases"
        raise PolicyError([Problem(str(directory / files[number]), f"is older than {max(lock.revisions)}", hint)])
    return files[number]


# --- writing --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    """One release at a time on this machine; readers are never kept waiting."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _cannot_read(directory, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write_lock(directory: Path, lock: Lock) -> None:
    """Replace the lock as a whole: a reader, and a machine that loses power, see the old one or the new one."""
    path = directory / LOCK_FILE
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{LOCK_FILE}.", dir=directory)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(render_lock(lock))
                stream.flush()
                os.fchmod(stream.fileno(), 0o644)
                os.fsync(stream.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_directory(directory)
    except OSError as error:
        raise PolicyError([Problem(str(path), f"cannot be written: {error.strerror}")]) from error


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cannot_read(directory: Path, error: OSError) -> PolicyError:
    hint = "name the directory with --policies or GATEWAY_POLICIES"
    return PolicyError([Problem(str(directory), f"cannot be read: {error.strerror}", hint)])


def _raise_any(problems: tuple[Problem, ...]) -> None:
    if problems:
        raise PolicyError(problems)
