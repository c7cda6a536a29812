#!/bin/sh
# Debian packages that the tests use. Installs what is missing when it may; otherwise says exactly what to install.
set -eu

packages=${*:-chromium faketime gcc git golang-golang-x-mod-dev golang-go jq libc6-dev python3-yaml rsyslog rsyslog-gnutls rsyslog-openssl slowhttptest wrk}
missing=
for package in $packages; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then as_root=
elif sudo -n true 2>/dev/null; then as_root=sudo
else
    echo "these Debian packages are missing and this user may not install them:$missing" >&2
    echo "hint: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
echo "installing Debian packages:$missing"
$as_root env DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -qq && apt-get install -qq -y --no-install-recommends$missing" >/dev/null </dev/null
