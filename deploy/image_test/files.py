"""Checks of the image at rest: its configuration and its files. Nothing is started."""

import re
import stat
from pathlib import Path

from podman import inspect, mounted
from report import Report, require

OURS = ("opt/venv", "srv/tool", "etc/gateway")
STATE = Path("var/lib/gateway")
USER = "10001:10001"
# What a build leaves behind when nobody looks: caches, tools, the package index, the state of a working copy.
LEFT_BEHIND = (
    "root/.cache",
    "tmp/*",
    "var/cache/apt/archives/*.deb",
    "var/lib/apt/lists/*_*",
    "build",
    "files",
    "opt/tools",
    "etc/pip.conf",
    "root/.config/pip",
)
NEVER_INSIDE = re.compile(
    r"(^|/)(\.git|\.gateway|\.venv|\.env|session-keys|streamlit-cookie-secret|tests/(support|policy))$"
)


def check_configuration(report: Report, image: str, version: str) -> None:
    found = inspect("image", image)
    config = found["Config"]
    health = found.get("Healthcheck") or config.get("Healthcheck") or {}
    with report.check("the image runs as a user with a number, not as root"):
        require(config["User"] == USER, config["User"])
    with report.check("entry point, command and health check are programs, not lines for a shell"):
        require(config["Entrypoint"] == ["/opt/venv/bin/gateway"], config["Entrypoint"])
        require(config["Cmd"][0] == "serve", config["Cmd"])
        require(health.get("Test") == ["CMD", "/opt/venv/bin/gateway", "health"], health)
    with report.check("the image says what it is in OCI labels, and is stopped with SIGTERM"):
        labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
        require(labels["version"] == version and labels["licenses"] == "Apache-2.0", labels)
        require({"title", "description", "source", "revision", "base.name"} <= labels.keys(), labels)
        require(config.get("StopSignal") in ("SIGTERM", "15"), config.get("StopSignal"))
    with report.check("the image declares no volume: a record in a nameless one would be thrown away"):
        require(not config.get("Volumes"), config.get("Volumes"))
    report.note(f"size: {found['Size'] / 1e6:.0f} MB in {len(found['RootFS']['Layers'])} layers")


def check_files(report: Report, image: str) -> None:
    with mounted(image) as root:
        paths = [path for path in root.rglob("*") if not path.is_symlink()]
        modes = {path.relative_to(root): path.stat() for path in paths}
        with report.check("nothing in the image can be written by everybody, sticky directories aside"):
            loose = [str(path) for path, status in modes.items() if _anyone_writes(status.st_mode)]
            require(not loose, loose[:10])
        with report.check("no program in the image gives its user more rights"):
            raised = [
                str(path) for path, status in modes.items() if stat.S_ISREG(status.st_mode) and status.st_mode & 0o6000
            ]
            require(not raised, raised[:10])
        with report.check("code, tool and policies belong to root, and only the state directory to the gateway's user"):
            ours = {path: status for path, status in modes.items() if str(path).startswith(OURS)}
            wrong = [
                str(path) for path, status in ours.items() if status.st_uid or status.st_gid or status.st_mode & 0o022
            ]
            require(len(ours) > 1000 and not wrong, wrong[:10])
            state = modes[STATE]
            require((state.st_uid, state.st_gid, stat.S_IMODE(state.st_mode)) == (10001, 10001, 0o700), state)
        with report.check("no package cache, build tool, index address or state of a working copy is in the image"):
            left = [str(path) for pattern in LEFT_BEHIND for path in root.glob(pattern)]
            left += [str(path) for path in modes if NEVER_INSIDE.search(str(path))]
            left += [
                str(path)
                for name in ("pip", "setuptools", "wheel")
                for path in root.glob(f"opt/venv/lib/*/site-packages/{name}")
            ]
            require(not left, left)
        with report.check("every module has its bytecode"):
            packages = next(root.glob("opt/venv/lib/*/site-packages"))
            modules = [path for path in packages.rglob("*.py") if path.stat().st_size]
            bare = [str(path) for path in modules if not any((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))]
            require(len(modules) > 1000 and not bare, bare[:10])


def _anyone_writes(mode: int) -> bool:
    if stat.S_ISDIR(mode):
        return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
    return stat.S_ISREG(mode) and bool(mode & stat.S_IWOTH)
