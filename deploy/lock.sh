#!/bin/sh
# Makes requirements/*.txt anew from pyproject.toml: versions and hashes for every platform, no index address.
set -eu
cd "$(dirname "$0")/.."
compile() { uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate "$@"; }
compile requirements/build.in --output-file requirements/build.txt
compile requirements/beside.in --output-file requirements/beside.txt
compile pyproject.toml --output-file requirements/runtime.txt
compile pyproject.toml --group test --group check --constraint requirements/runtime.txt --output-file requirements/dev.txt
