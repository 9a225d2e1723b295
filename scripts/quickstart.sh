#!/usr/bin/env bash
# From a fresh clone to a trained classifier and tagger: creates .venv, installs, trains on the samples, shows the results.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
install_into_venv train
.venv/bin/python scripts/quickstart.py "$@"
