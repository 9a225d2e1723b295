# Sourced by quickstart.sh and test.sh: make .venv with Python 3.10 or newer and install the package with an extra.

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.10 python; do
        if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: Python 3.10 or newer is needed and none was found; install it or set PYTHON to its path" >&2
    return 1
}

install_into_venv() {
    local extra=$1 python
    if [ ! -x .venv/bin/python ]; then
        python=$(find_python)
        echo "Creating .venv with $("$python" --version)"
        "$python" -m venv .venv
    fi
    # the stamp says which extra of which pyproject is in place
    local stamp=".venv/installed-$extra"
    if [ ! -f "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
        echo "Installing hf-rnn[$extra] into .venv (minutes the first time)"
        .venv/bin/python -m pip install --quiet -e ".[$extra]"
        touch "$stamp"
    fi
}
