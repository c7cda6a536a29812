"""The policies of this test, in the shape that an operator mounts."""

# ruff: noqa: S603 - it starts programs of the machine, with arguments of its own

import os
import subprocess
import sys
from pathlib import Path

from gateway.policy.digest import file_digest
from gateway.policy.lock import LOCK_FILE, Lock, LockedRevision, render_lock

HOST = "tools.test"
ALLOWED = "192.0.2.1"  # RFC 5737: addresses for documentation
REFUSED = "192.0.2.3"

TEST_POLICY = f"""
schema = 1
title = "Image test"
default = "deny"

[networks]
visitors = ["{ALLOWED}/32"]

[hosts]
allowed = ["{HOST}"]

[transport]
https = "optional"

[[rules]]
id = "visitors"
effect = "allow"
because = "One address of the test may use the tool."
networks = ["visitors"]
"""

# The policy of docs/operator.md for a proxy on the same host, in front of deploy/compose.yaml.
PROXY_POLICY = (
    TEST_POLICY.replace('https = "optional"', 'https = "required"')
    + """
[proxies]
trusted = ["172.31.253.1/32"]
client_address = "x-forwarded-for"
"""
)

# Three mistakes in three places: host bits, a key that does not exist, a network that nobody has named.
INVALID = (
    TEST_POLICY.replace(f"{ALLOWED}/32", "192.0.2.1/24")
    .replace('title = "Image test"', 'title = "Image test"\ncolour = "blue"')
    .replace('networks = ["visitors"]', 'networks = ["visitor"]')
)
INVALID_PLACES = ("networks.visitors", "colour", "rules[0].networks")


def write_policies(directory: Path, text: str, *, checked: bool = True) -> Path:
    """A directory with the policy as its released first revision, readable by the container's user.

    Released by the gateway's own command; or, when not `checked`, with a lock as somebody may write it who goes around
    the command: its digests are right and the policy is not.
    """
    directory.mkdir(mode=0o755)
    file = directory / "0001-image-test.toml"
    file.write_text(text)
    if checked:
        gateway = Path(sys.executable).with_name("gateway")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        command: list[str | Path] = [gateway, "policy", "release", file.name, "--policies", directory]
        subprocess.run(command, check=True, capture_output=True, env=environment)
    else:
        locked = LockedRevision("0001", file.name, file_digest(file.read_bytes()))
        (directory / LOCK_FILE).write_text(render_lock(Lock().released(locked)))
    for path in directory.iterdir():
        path.chmod(0o644)
    return directory
