#!/usr/bin/env bash
# What `make test` runs, in the order in which it fails fastest.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
ruff format --check --quiet . || { echo "Not formatted. Run: make lint" >&2; exit 1; }
ruff check --quiet .
lint-imports --no-cache | tail -3
pyright --warnings | tail -1
python -m pytest -n "${TEST_WORKERS:-2}" --dist loadgroup "$@"
