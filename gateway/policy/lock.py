"""`policies.lock`: which revisions are released, the digest of each of their files, and which one is active.

TOML that the gateway writes and people review: a release changes two lines and adds a block. Pure text work; the
files are read and written in `releases.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.errors import Problem
from gateway.policy.digest import revision_digest
from gateway.policy.reader import Report, Table
from gateway.policy.toml import load_toml
from gateway.policy.values import InvalidValueError, network_file, one_of, shown, text

LOCK_FILE = "policies.lock"
LOCK_SCHEMA = 1

_FILE = re.compile(r"([0-9]{4})-[a-z0-9]+(?:-[a-z0-9]+)*\.toml")
_LOCK_KEYS = ("schema", "active", "revisions")
_REVISION_KEYS = ("file", "digest", "sha256", "networks")

_HEADING = """\
# The released policies. `gateway policy release` and `gateway policy activate` write this file.
# A released file never changes: the gateway refuses one whose SHA-256 is not the one below.
"""


@dataclass(frozen=True, slots=True)
class LockedRevision:
    """A released revision: its file and the SHA-256 of that file and of each network file, in hex."""

    revision: str
    file: str
    sha256: str
    networks: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest that stands in every decision made under this revision."""
        return revision_digest(self.sha256, self.networks)


@dataclass(frozen=True, slots=True)
class Lock:
    """The released revisions by number, and the number of the active one (empty only before the first release)."""

    active: str = ""
    revisions: Mapping[str, LockedRevision] = field(default_factory=dict)

    def released(self, revision: LockedRevision) -> "Lock":
        """The lock with one more revision, which becomes the active one."""
        return Lock(revision.revision, {**self.revisions, revision.revision: revision})

    def activated(self, revision: str) -> "Lock":
        """The lock with another of its revisions active."""
        return replace(self, active=revision)


def revision_of(file: str) -> str | None:
    """The number of a policy file by its name (`0001` of `0001-initial.toml`); None if it is not one."""
    found = _FILE.fullmatch(file)
    return found[1] if found else None


# --- writing --------------------------------------------------------------------------------------------------


def render_lock(lock: Lock) -> str:
    """The text of the lock file. Nothing in it needs escaping: names and digests are checked when they are made."""
    blocks = [_HEADING + f'schema = {LOCK_SCHEMA}\nactive = "{lock.active}"\n']
    blocks.extend(_render_revision(lock.revisions[number]) for number in sorted(lock.revisions))
    return "\n".join(blocks)


def _render_revision(locked: LockedRevision) -> str:
    lines = [
        f"[revisions.{locked.revision}]",
        f'file = "{locked.file}"',
        f'digest = "{locked.digest}"',
        f'sha256 = "{locked.sha256}"',
    ]
    if locked.networks:
        lines.append(f"[revisions.{locked.revision}.networks]")
        lines.extend(f'"{path}" = "{locked.networks[path]}"' for path in sorted(locked.networks))
    return "".join(f"{line}\n" for line in lines)


# --- reading --------------------------------------------------------------------------------------------------


def parse_lock(data: bytes, file: str) -> Lock:
    """The lock in these bytes; `file` is its name for messages.

    Raises:
        PolicyError: with everything that is wrong with it.
    """
    report = Report(file)
    root = Table(report, "", load_toml(file, data), _LOCK_KEYS)
    root.need("schema", _schema, None)
    table = root.table("revisions", None)
    revisions = {number: _read_revision(table.table(number, _REVISION_KEYS), number) for number in table.names}
    active = root.need("active", one_of(tuple(revisions), "released revision"), "")
    report.raise_any()
    return Lock(active, revisions)


def _schema(value: object) -> None:
    if type(value) is not int or value != LOCK_SCHEMA:
        raise InvalidValueError(f"is not a schema that this release knows: {shown(value)}")


def _read_revision(table: Table, number: str) -> LockedRevision:
    file = table.need("file", _file, "")
    if file and revision_of(file) != number:
        table.problem("file", f"{shown(file)} is not a file of revision {shown(number)}")
    networks = table.table("networks", None)
    locked = LockedRevision(
        revision=number,
        file=file,
        sha256=table.need("sha256", _hex, ""),
        networks={path: networks.need(path, _hex, "") for path in networks.names if _is_path(networks, path)},
    )
    digest = table.need("digest", text, "")
    if locked.sha256 and digest and digest != locked.digest:
        table.problem(
            "digest", "does not follow from the digests of the files", "restore the lock; it is not edited by hand"
        )
    return locked


def _is_path(networks: Table, path: str) -> bool:
    try:
        network_file(path)
    except InvalidValueError as error:
        networks.problem("", error.message, error.hint)
        return False
    return True


def _file(value: object) -> str:
    word = text(value)
    if revision_of(word) is None:
        raise InvalidValueError(f"{shown(word)} is not the name of a policy file", "names are like 0001-initial.toml")
    return word


def _hex(value: object) -> str:
    word = text(value)
    if not re.fullmatch("[0-9a-f]{64}", word):
        raise InvalidValueError(f"{shown(word)} is not a SHA-256 in hex")
    return word


def altered(place: str, locked: LockedRevision, found: str | None) -> Problem:
    """The problem of a released file that is not what was released; `found` is its digest, None if it is missing."""
    message = f"belongs to revision {locked.revision} and " + (
        "cannot be read" if found is None else "was changed after its release"
    )
    number = f"{min(int(locked.revision) + 1, 9999):04d}"
    return Problem(
        place,
        message,
        "a released file never changes: restore it (git checkout)\n"
        f"for a change, copy the policy to a new number (such as {number}-name.toml), network files to new names,"
        f" and run: gateway policy release",
    )
