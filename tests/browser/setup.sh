#!/usr/bin/env bash
# Installs what the browser tests need and is not there yet: Chromium from Debian, and its driver and
# the accessibility checker from npm, in the versions of package.json. Says what it installs.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
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

modules=target/clients/browser
if ! cmp -s tests/browser/package.json "$modules/installed.json"; then
    echo "installing puppeteer-core and axe-core of tests/browser/package.json into $modules"
    mkdir -p "$modules"
    cp tests/browser/package.json "$modules/package.json"
    (cd "$modules" && npm install --silent --no-audit --no-fund)
    cp tests/browser/package.json "$modules/installed.json"
fi
