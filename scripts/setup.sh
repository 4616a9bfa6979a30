# Sourced by run.sh and test.sh, from the root of the project.

# Says what is wrong, and ends.
fail() {
    echo "$*" >&2
    exit 1
}

# The first Python from 3.11 to 3.13: $PYTHON if it is set, else python3, else one by its version.
find_python() {
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    fail "No Python 3.11, 3.12 or 3.13 was found${PYTHON:+ as $PYTHON}; install one, or set PYTHON to the path of one."
}

# setup FILE...: makes the virtual environment .venv, if there is none, and installs the requirements that the files name.
# A second call with the same files does nothing.
setup() {
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        found=$(find_python) || exit 1
        "$found" -m venv --clear .venv ||
            fail "The virtual environment .venv could not be made; on Debian and Ubuntu, install the package python3-venv."
    fi
    ready=.venv/ready-$(cat "$@" | cksum | cut -d ' ' -f 1)
    if [ ! -e "$ready" ]; then
        echo "Installing $* into .venv; the first time, this takes some minutes."
        for file in "$@"; do set -- "$@" -r "$file"; shift; done
        [ -t 1 ] || set -- "$@" --quiet # in a log, progress is noise
        # Today's pip takes half the time of the one that came with Python, and most of what is installed is never imported.
        { .venv/bin/python -m pip install --disable-pip-version-check --quiet --upgrade pip &&
            .venv/bin/python -m pip install --no-compile "$@"; } ||
            fail "Not everything could be installed; pip says above why. Run the command again to go on."
        touch "$ready"
    fi
    # guided_demo can then be imported anywhere in the environment, from notebooks too.
    pwd >"$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/guided_demo.pth"
}

# setup_alone MODULE REQUIREMENT: installs a package without those that it requires, if it is not there.
setup_alone() {
    if ! .venv/bin/python -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)"; then
        .venv/bin/python -m pip install --disable-pip-version-check --quiet --no-deps "$2" ||
            fail "$2 could not be installed; pip says above why. Run the command again to go on."
    fi
}
