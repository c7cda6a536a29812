"""From the bytes of a policy file, and of the network files that it names, to a `Policy`; or to every problem at once.

Pure: whoever calls has read the files. Nothing that stands in them may lead to anything but a `Policy` or a
`PolicyError`, and neither takes longer than a few seconds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from gateway.errors import PolicyError, Problem
from gateway.model import Policy, PolicyRef
from gateway.policy.digest import file_digest, revision_digest
from gateway.policy.entries import NetworkReader
from gateway.policy.language import KEYS, NOT_ENFORCED, RISKY_RELAXATIONS, SCHEMA
from gateway.policy.networks import NetworkIndex
from gateway.policy.reader import Report, Table
from gateway.policy.requests import read_tests
from gateway.policy.rules import read_rules
from gateway.policy.sections import (
    read_content_security,
    read_hosts,
    read_limits,
    read_proxies,
    read_sessions,
    read_streamlit,
    read_transport,
)
from gateway.policy.toml import load_toml
from gateway.policy.values import InvalidValueError, network_file, one_of, shown, text


@dataclass(frozen=True, slots=True)
class PolicySource:
    """What a policy is made from.

    `file` is the name for messages, such as `policies/0001-initial.toml`. `files` maps the paths of network files,
    relative to the directory of the policies, to their bytes; None for a file that could not be read.
    """

    file: str
    revision: str
    data: bytes = field(repr=False)
    files: Mapping[str, bytes | None] = field(default_factory=dict, repr=False)


def parse_policy(source: PolicySource, *, today: date) -> Policy:
    """The policy in the source, as of the given day in UTC: what expired before it is a problem.

    With `date.min` nothing is expired, for revisions that are only looked at.

    Raises:
        PolicyError: with every problem, in the order of the language.
    """
    return policy_of(load_toml(source.file, source.data), source, today=today)


def policy_of(document: Mapping[str, object], source: PolicySource, *, today: date) -> Policy:
    """The policy that a TOML document means, whatever the types of its values; see `parse_policy`.

    Raises:
        PolicyError: with every problem, in the order of the language.
    """
    report = Report(source.file)
    root = Table(report, "", document, KEYS[""])
    _check_head(root)
    networks = NetworkReader(report, source.files, today).read(root.table("networks", None))
    rules = read_rules(root, tuple(networks), today)
    parts = {
        "title": root.need("title", text, ""),
        "hosts": read_hosts(root),
        "proxies": read_proxies(root),
        "transport": read_transport(root),
        "content_security": read_content_security(root),
        "sessions": read_sessions(root),
        "limits": read_limits(root),
        "streamlit": read_streamlit(root),
    }
    tests = read_tests(root, {rule.id for rule in rules})
    report.raise_any()
    return Policy(
        ref=PolicyRef(source.revision, source_digest(source)),
        networks=networks,
        membership=NetworkIndex.build(networks),
        rules=rules,
        tests=tests,
        **parts,  # type: ignore[arg-type]
    )


def referenced_files(data: bytes) -> tuple[str, ...]:
    """The paths of the network files that a policy names, sorted: what to read before it can be parsed.

    Paths that could leave the directory are left out, and so is everything in a file that is not TOML; the parser
    reports both.
    """
    try:
        networks = load_toml("", data).get("networks")
    except PolicyError:
        return ()
    named: set[str] = set()
    for value in networks.values() if isinstance(networks, dict) else ():
        try:
            named.add(network_file(value.get("file") if isinstance(value, dict) else None))
        except InvalidValueError:
            continue
    return tuple(sorted(named))


def source_digest(source: PolicySource) -> str:
    """The digest of the policy and of the network files that it names; a file that is missing counts as empty."""
    networks = {path: file_digest(source.files.get(path) or b"") for path in referenced_files(source.data)}
    return revision_digest(file_digest(source.data), networks)


def unenforced(source: PolicySource) -> tuple[Problem, ...]:
    """A note for each key that this release does not act on, or not everywhere, and for each risky relaxation."""
    document = load_toml(source.file, source.data)
    keys = ((key, note) for key, note in NOT_ENFORCED.items() if _is_set(document, key))
    risky = _risky(document.get("content_security"))
    return tuple(Problem(f"{source.file}: {place}", note) for place, note in (*keys, *risky))


def _risky(content_security: object) -> Iterator[tuple[str, str]]:
    add = content_security.get("add") if isinstance(content_security, dict) else None
    for index, name in enumerate(add if isinstance(add, list) else ()):
        if isinstance(name, str) and name in RISKY_RELAXATIONS:
            yield f"content_security.add[{index}]", RISKY_RELAXATIONS[name]


def _is_set(document: object, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(document, dict) or part not in document:
            return False
        document = document[part]
    return True


def _check_head(root: Table) -> None:
    root.need("schema", _schema, None)
    root.need("default", one_of(("deny",), "default"), "deny")


def _schema(value: object) -> None:
    if type(value) is not int or value != SCHEMA:
        raise InvalidValueError(f"is not a schema that this release knows: {shown(value)}", f"write schema = {SCHEMA}")
