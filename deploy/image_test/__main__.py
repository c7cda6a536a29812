"""The checks of the image test, in order. deploy/image-test.sh prepares everything, and calls this."""

# ruff: noqa: S603, S607 - it starts programs of the machine, with arguments of its own

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from compose import check_compose
from files import check_configuration, check_files
from report import Report, Skipped, require
from running import check_bundled_policy, check_refusals_to_start, check_running, make_stage

import gateway

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


def check_dockerfile(report: Report, hadolint: str) -> None:
    with report.check("hadolint has nothing to say about the Dockerfile"):
        if not hadolint:
            raise Skipped("hadolint could not be installed")
        # Without a network: a linter has no business there.
        done = subprocess.run(
            ["unshare", "--net", hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False
        )
        require(done.returncode == 0, done.stdout + done.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("image", "namespace", "work", "hadolint", "compose"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    work, report = Path(given.work), Report()

    (work / "compose").mkdir()
    stage = make_stage(given.image, given.namespace, work)
    steps: dict[str, Callable[[], None]] = {
        "the Dockerfile": lambda: check_dockerfile(report, given.hadolint),
        "the image's configuration": lambda: check_configuration(report, given.image, gateway.__version__),
        "the image's files": lambda: check_files(report, given.image),
        "the running container": lambda: check_running(report, stage),
        "the second container": lambda: check_bundled_policy(report, stage),
        "refusals to start": lambda: check_refusals_to_start(report, stage),
        "compose": lambda: check_compose(report, given.compose, given.image, work / "compose"),
    }
    for what, run in steps.items():
        with report.step(what):
            run()
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
