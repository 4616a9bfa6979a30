#!/bin/sh
# Starts the page; installs what it needs first, into .venv, if that has not been done.
# Arguments go to app.py: sh run.sh --help
set -eu
cd "$(dirname "$0")"
. scripts/setup.sh
setup requirements.txt
exec .venv/bin/python app.py "$@"
