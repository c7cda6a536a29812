"""What this machine's pip needs to reach its package index, for a build in a container.

    python pip_configuration.py FILE

writes the options to FILE and prints the directories and files that they name, one mount option a line. They are
mounted while the image is built, so that the image itself holds neither an index address nor a certificate.
"""

# ruff: noqa: S603 - it starts programs of the machine, with arguments of its own

import re
import subprocess
import sys
from pathlib import Path

_OPTIONS = (
    "index-url",
    "extra-index-url",
    "find-links",
    "cert",
    "client-cert",
    "trusted-host",
    "proxy",
    "default-timeout",
)


def options() -> dict[str, str]:
    """The options that matter, from pip's files and the environment; the environment wins, as it does for pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^(global|install|:env:)\.([a-z-]+)='(.*)'$", listed, re.MULTILINE)
    ordered = sorted(found, key=lambda each: each[0] == ":env:")
    return {name: value for _, name, value in ordered if name in _OPTIONS}


def mounts(values: dict[str, str]) -> list[Path]:
    """What the options name on this machine's own disk."""
    words = [word for value in values.values() for word in value.split()]
    paths = [Path(word.removeprefix("file://")) for word in words if word.startswith(("/", "file:///"))]
    # The pages of a local index lie in `simple` and link to files beside it.
    return sorted({path.parent if path.name == "simple" else path for path in paths if path.exists()})


def main() -> None:
    values = options()
    file = Path(sys.argv[1])
    file.touch(mode=0o600)  # an index address may carry a password
    file.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in values.items()))
    sys.stdout.writelines(f"--volume={path}:{path}:ro\n" for path in mounts(values))


if __name__ == "__main__":
    main()
