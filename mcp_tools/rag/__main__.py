"""`python -m mcp_tools.rag --data DIR [--kb ID=FOLDER ...]`: the rag server over stdio, for any MCP host.

Nothing but MCP may be written to standard output; what it has to say goes to standard error.
"""

import argparse
import logging
import os
import sys

from mcp_tools.rag import create_server
from mcp_tools.rag.settings import SettingsError


def main() -> int:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(prog="python -m mcp_tools.rag", description=__doc__)
    parser.add_argument("--data", default=os.environ.get("RAG_DATA"), help="folder of the index (or RAG_DATA)")
    parser.add_argument("--kb", action="append", default=[], metavar="ID=FOLDER", help="keep this folder searchable")
    parser.add_argument(
        "--ingest-root", action="append", default=[], metavar="DIR", help="let the model ingest below it"
    )
    arguments = parser.parse_args()
    if not arguments.data:
        parser.error("--data is missing: the folder where the index is kept")
    bases: dict[str, dict[str, str]] = {}
    for entry in arguments.kb:
        id, separator, folder = entry.partition("=")
        if not separator or not folder:
            parser.error(f"--kb {entry!r} is not ID=FOLDER")
        bases[id] = {"folder": folder}
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    try:
        server = create_server(
            {"data": arguments.data, "knowledge_bases": bases, "ingest_roots": arguments.ingest_root}
        )
    except SettingsError as error:
        parser.error(str(error))
    server.run("stdio")
    return 0


if __name__ == "__main__":
    sys.exit(main())
