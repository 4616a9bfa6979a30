#!/bin/sh
# Runs the linter, the type checker and the tests; installs what they need first, if that has not been done.
# Arguments go to pytest: sh test.sh tests/core
set -eu
cd "$(dirname "$0")"
. scripts/setup.sh
setup requirements.txt requirements-dev.txt
# labelme reads what is exported for it. It comes without what it needs for its windows and networks: the tests do without these.
setup_alone labelme 'labelme>=6.3,<7'

# The browser tests drive a real Chromium, $CHROMIUM or one on the PATH; those of the endpoints call curl.
missing=
for name in "${CHROMIUM:-chromium}" chromium-browser google-chrome; do
    CHROMIUM=$(command -v "$name") && break
done
[ -n "$CHROMIUM" ] || missing=" chromium"
command -v curl >/dev/null || missing="$missing curl"
if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "The tests need$missing. On Debian: sudo apt-get install$missing. Elsewhere, set CHROMIUM to the path of a Chromium."
    fi
    echo "Installing$missing for the tests."
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing; } >/dev/null ||
        fail "$missing could not be installed; apt-get says above why."
fi
export CHROMIUM="${CHROMIUM:-/usr/bin/chromium}"

# A browser, a server and the tests share the cores: with more threads each, they would mostly wait for one another.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

status=0
.venv/bin/python -m ruff check . || status=1
# The type checker takes a minute the first time, beside the tests; what it finds is said when they are through.
types=$(mktemp)
trap 'rm -f "$types"' EXIT
.venv/bin/python -m mypy >"$types" 2>&1 &
# Two at a time: many of them wait for a browser. -n 0 has them in one process, for a debugger.
.venv/bin/python -m pytest -n 2 --dist worksteal "$@" || status=1
wait $! || status=1
cat "$types"
exit $status
