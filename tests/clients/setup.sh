#!/usr/bin/env bash
# Installs what the real-client tests need and is not there yet: curl, kubectl, Python with its clients, Node.
# Says what it installs. Run by `make test`.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
command -v curl >/dev/null || missing+=(curl)
command -v kubectl >/dev/null || missing+=(kubernetes-client)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v python3 >/dev/null || missing+=(python3)
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ "${#missing[@]}" -gt 0 ]; then
    echo "installing ${missing[*]} with apt-get"
    if [ "$(id -u)" -ne 0 ]; then
        echo "error: ${missing[*]} must be installed, and only root can; run: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

venv=target/clients/venv
if ! cmp -s tests/clients/requirements.txt "$venv/requirements.txt"; then
    echo "installing the Python clients of tests/clients/requirements.txt into $venv"
    mkdir -p target/clients
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement tests/clients/requirements.txt
    cp tests/clients/requirements.txt "$venv/requirements.txt"
fi

venv=target/oidc/venv
if ! cmp -s tests/oidc/requirements.txt "$venv/requirements.txt"; then
    echo "installing tests/oidc/requirements.txt into $venv"
    mkdir -p target/oidc
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement tests/oidc/requirements.txt
    cp tests/oidc/requirements.txt "$venv/requirements.txt"
fi

modules=target/oidc/node
if ! cmp -s tests/oidc/package.json "$modules/installed.json"; then
    echo "installing the OpenID provider of tests/oidc/package.json into $modules"
    mkdir -p "$modules"
    cp tests/oidc/package.json "$modules/package.json"
    (cd "$modules" && npm install --silent --no-audit --no-fund)
    cp tests/oidc/package.json "$modules/installed.json"
fi

modules=target/clients/node
if ! cmp -s tests/clients/package.json "$modules/installed.json"; then
    echo "installing the Node clients of tests/clients/package.json into $modules"
    mkdir -p "$modules"
    cp tests/clients/package.json "$modules/package.json"
    (cd "$modules" && npm install --silent --no-audit --no-fund)
    cp tests/clients/package.json "$modules/installed.json"
fi
