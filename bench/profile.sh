#!/usr/bin/env bash
# Where the time goes in one cell, seen by py-spy from outside (it needs root, or kernel.yama.ptrace_scope=0):
#   bench/profile.sh "stored agent turn, responses" c16          a flame graph in bench/results/*.svg
#   bench/profile.sh "stored agent turn, responses" c16 raw      the stacks as text, one a line with its samples
# Scenario and cell are names, or parts of scenario names, of bench/scenarios.py.
# The requests/s of such a run are not the server's: it is stopped 200 times a second.
set -euo pipefail
cd "$(dirname "$0")/.."
scenario=${1:?which scenario, for example \"raw model, chat\"}
cell=${2:-c16}
venv=.venv-profile
[ -x $venv/bin/py-spy ] || { .venv/bin/python -m venv $venv && $venv/bin/pip install --quiet py-spy==0.4.1; }
exec .venv/bin/python -m bench.run --rounds 1 --seconds 15 --only "$scenario" --cells "$cell" \
    --profile $venv/bin/py-spy --profile-format "${3:-flamegraph}"
