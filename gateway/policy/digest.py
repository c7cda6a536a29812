"""The digest that names the exact content of a revision, as it stands in every decision and audit event.

It is the SHA-256 of a short text, one line a file, the policy first and its network files by path:

    gateway policy digest 1
    <sha256 of the policy file>  policy
    <sha256 of the file>  networks/vpn.txt

each line ended by one line feed. So it can be computed again with `sha256sum` alone. The policy file's own name is
not part of it: the same content has the same digest under every revision.
"""

import hashlib
from collections.abc import Mapping

_HEADING = "gateway policy digest 1"


def file_digest(data: bytes) -> str:
    """The SHA-256 of a file, as 64 lower-case hex digits (FIPS 180-4)."""
    return hashlib.sha256(data).hexdigest()


def revision_digest(policy: str, networks: Mapping[str, str]) -> str:
    """`sha256:` and the digest of a revision, from the digests of its files.

    Raises:
        ValueError: the path of a network file could forge a line.
    """
    lines = [_HEADING, f"{policy}  policy"]
    for path in sorted(networks):
        if not path.isprintable():
            raise ValueError("the path of a network file holds control characters")
        lines.append(f"{networks[path]}  {path}")
    return "sha256:" + hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
