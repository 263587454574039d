"""The child process that runs llama.cpp: `python -m gateway.local_model.serve MODEL PORT`. Imported by nobody.

The only place that knows `xllamacpp`. It speaks to its parent (`server.LocalModel`) over its standard streams:
the first line of stdin is the API key to ask for; one line on stdout, `ready URL`, says that requests are answered;
the end of stdin, which is also the end of the parent however it comes, ends this process.
"""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

ENGINE = "xllamacpp"
NO_ENGINE = 3
"""The exit status that means: llama.cpp is not installed."""

_PROMPT_CACHE_MB = 512


def main(arguments: Sequence[str]) -> int:
    """Serve until stdin ends. Returns the exit status when serving is impossible."""
    parser = argparse.ArgumentParser(prog="python -m gateway.local_model.serve", description="Serve one GGUF file.")
    parser.add_argument("model", metavar="MODEL", help="path of a GGUF file")
    parser.add_argument("port", metavar="PORT", type=int, help="port on loopback, 0 for a free one")
    parser.add_argument("--ctx", type=int, default=8192, help="context window in tokens")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--alias", default="local", help="the name of the model on the wire")
    options = parser.parse_args(arguments)
    # Ctrl-C in a terminal reaches the whole process group; the parent decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if find_spec(ENGINE) is None:
        return NO_ENGINE
    key = sys.stdin.readline().strip()
    try:
        server = _start(importlib.import_module(ENGINE), options, key)
    except RuntimeError:
        # The engine has said on stderr what is wrong.
        return 1
    sys.stdout.write(f"ready {server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    # The engine's threads are native and hold nothing worth saving.
    os._exit(0)


def _start(engine: Any, options: argparse.Namespace, key: str) -> Any:
    """Load the model and listen. Holds the interpreter for seconds, and then needs it no more."""
    settings = engine.CommonParams()
    settings.model.path = options.model
    settings.model_alias = {options.alias}
    settings.hostnames = ["127.0.0.1"]
    settings.port = options.port
    settings.api_keys = [key] if key else []
    settings.n_ctx = options.ctx
    settings.n_parallel = 1
    settings.cpuparams.n_threads = options.threads
    settings.cpuparams_batch.n_threads = options.threads
    # Its default is 8 GB.
    settings.cache_ram_mib = _PROMPT_CACHE_MB
    settings.use_jinja = True
    settings.warmup = True
    settings.offline = True
    settings.ui = False
    settings.endpoint_slots = False
    settings.verbosity = 1
    return engine.Server(settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
