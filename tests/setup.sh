#!/usr/bin/env bash
# Installs what the tests with real programs need and is not there yet: curl, kubectl, Chromium, Python and
# Node from Debian, and what tests/clients, tests/oidc and tests/browser name in their requirements.txt and
# package.json. Says what it installs. Run by `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
# The program, and the packages that it comes with.
need() {
    command -v "$1" >/dev/null || missing+=("${@:2}")
}
need curl curl
need kubectl kubernetes-client
need chromium chromium
need node nodejs
need npm npm
need python3 python3
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
fc-list 2>/dev/null | grep -q DejaVu || missing+=(fontconfig fonts-dejavu-core)
if [ "${#missing[@]}" -gt 0 ]; then
    echo "installing ${missing[*]} with apt-get"
    if [ "$(id -u)" -ne 0 ]; then
        echo "error: ${missing[*]} must be installed, and only root can; run: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# A folder of tests with a requirements.txt, and where what it names goes.
python_modules() {
    local wanted="tests/$1/requirements.txt" venv="$2"
    cmp -s "$wanted" "$venv/requirements.txt" && return
    echo "installing $wanted into $venv"
    mkdir -p "$(dirname "$venv")"
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
    cp "$wanted" "$venv/requirements.txt"
}
python_modules clients target/clients/venv
python_modules oidc target/oidc/venv

# The same with a package.json.
node_modules() {
    local wanted="tests/$1/package.json" modules="$2"
    cmp -s "$wanted" "$modules/installed.json" && return
    echo "installing $wanted into $modules"
    mkdir -p "$modules"
    cp "$wanted" "$modules/package.json"
    (cd "$modules" && npm install --silent --no-audit --no-fund)
    cp "$wanted" "$modules/installed.json"
}
node_modules clients target/clients/node
node_modules oidc target/oidc/node
node_modules browser target/clients/browser
