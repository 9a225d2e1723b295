#!/usr/bin/env bash
# Run the whole test suite: creates .venv and installs the test extra where needed. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
install_into_venv "${EXTRA:-test}"
# two files of tests at a time, each with one thread
export OMP_NUM_THREADS=1
workers=(-n "${WORKERS:-2}" --dist loadfile)
if [ -n "${COVERAGE:-}" ]; then
    .venv/bin/python -m pytest "${workers[@]}" --cov --cov-report=term "$@"
else
    .venv/bin/python -m pytest "${workers[@]}" "$@"
fi
