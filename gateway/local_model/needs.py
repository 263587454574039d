"""What has to be run on this machine before the local model can be asked."""

import importlib.util
import shlex
import shutil
import sys
from pathlib import Path

ENGINE = "xllamacpp"


def steps(weights: Path) -> list[str]:
    """Shell commands, in the order in which they are run; none if the engine and the weights are here."""
    engine = [] if engine_is_here() else [install()]
    return engine if weights.is_file() else [*engine, pull()]


def engine_is_here() -> bool:
    return importlib.util.find_spec(ENGINE) is not None


def install() -> str:
    """Into the environment that runs this, whatever is on the PATH and whichever is activated."""
    return f"{shlex.quote(sys.executable)} -m pip install {ENGINE}"


def pull() -> str:
    return f"{command()} model pull"


def command() -> str:
    """What a person has to type for the `homeport` command: after `make run` it is not on the PATH."""
    called = sys.argv[0]
    return shlex.quote(called) if Path(called).name == "homeport" and shutil.which("homeport") is None else "homeport"
