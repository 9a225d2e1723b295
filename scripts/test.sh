#!/usr/bin/env bash
# Run the whole test suite: creates .venv and installs the test extra where needed. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
install_into_venv "${EXTRA:-test}"
if [ -n "${COVERAGE:-}" ]; then
    .venv/bin/python -m pytest --cov --cov-report=term "$@"
else
    .venv/bin/python -m pytest "$@"
fi
