#!/bin/sh
# Runs the linter, the type checker and the tests; installs what they need first, if that has not been done.
# Arguments go to pytest: sh test.sh tests/core
set -eu
cd "$(dirname "$0")"
. scripts/setup.sh
setup requirements.txt requirements-dev.txt

# The browser tests drive a real Chromium: $CHROMIUM, or one on the PATH.
for name in "${CHROMIUM:-chromium}" chromium-browser google-chrome; do
    if path=$(command -v "$name"); then
        export CHROMIUM="$path"
        break
    fi
done
if [ -z "${path:-}" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing Debian's chromium for the browser tests."
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium; } >/dev/null ||
            fail "chromium could not be installed; apt-get says above why."
        export CHROMIUM=/usr/bin/chromium
    else
        fail "The browser tests need Chromium. Install it (Debian: sudo apt-get install chromium), or set CHROMIUM to its path."
    fi
fi

status=0
.venv/bin/python -m ruff check . || status=1
.venv/bin/python -m mypy || status=1
.venv/bin/python -m pytest "$@" || status=1
exit $status
