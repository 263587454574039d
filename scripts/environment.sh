#!/usr/bin/env bash
# Makes the virtual environments of a checkout:
#   scripts/environment.sh runtime|local|dev|openai3|agents|langchain|litellm
# `runtime` is what a user needs, `local` adds the engine of the local model, `dev` what the tests need;
# all three are .venv. The others are each apart in .venv-NAME. `litellm` is its proxy, which the benchmark measures
# beside the gateway; the rest are clients that the tests drive: LiteLLM needs openai<3, and they the newer one.
# Every package is pinned with its hash. Doing nothing takes a few milliseconds.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?which environment: runtime, local, dev, openai3, agents, langchain or litellm}
case $what in
    runtime | local | dev) venv=.venv ;;
    *) venv=.venv-$what ;;
esac
lock=requirements/$what.txt
stamp=$venv/.$what
# Its programs have its path in them: one of a checkout that was moved or copied is of no use.
if made=$(grep -s ' -m venv ' $venv/pyvenv.cfg) && [ "${made%" $(pwd -P)/$venv"}" = "$made" ]; then
    echo "$venv was made in another place; making it anew."
    rm -rf $venv
fi
sum=$(cat "$lock" pyproject.toml | sha256sum | cut -d' ' -f1)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sum" ] && exit 0

find_python() {
    for name in "${PYTHON:-}" python3.14 python3.13 python3.12 python3.11 python3; do
        [ -n "$name" ] || continue
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$name"; return; fi
    done
    echo "Homeport needs Python 3.11 or newer; none was found. Set PYTHON to one." >&2
    return 1
}

if [ ! -x $venv/bin/pip ]; then
    python=$(find_python)
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        # Debian keeps ensurepip in a package of its own.
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null
        else
            echo "This Python cannot make virtual environments. On Debian and Ubuntu: sudo apt install python3-venv" >&2
            exit 1
        fi
    fi
    echo "Making $venv with $("$python" --version) …"
    "$python" -m venv $venv
fi
echo "Installing the packages of $lock (pinned, with hashes) …"
$venv/bin/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r "$lock" 2>&1 | grep -v '^WARNING: Location' || [ "${PIPESTATUS[0]}" = 0 ]
if [ "$venv" = .venv ]; then
    # Building says a lot that nobody needs unless it fails.
    $venv/bin/pip install --quiet --disable-pip-version-check --no-deps -e . >$venv/build.log 2>&1 ||
        { cat $venv/build.log >&2; exit 1; }
    $venv/bin/python scripts/build_embedder.py
    # Compiled now is what is used, so that the first start is as fast as the second. All of it would take 100 MB more,
    # most of them LiteLLM's proxy, which is never imported.
    env -u PYTHONDONTWRITEBYTECODE LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_MODE=PRODUCTION $venv/bin/python -W ignore -c '
import gateway.cli.main, gateway.tools.mcp, gateway.tools.mounted, gateway.tools.stdio, gateway.retrieval.search
import mcp_tools.filesystem, mcp_tools.rag, mcp_tools.ticketing, openai, litellm' >/dev/null
fi
echo "$sum" > "$stamp"
