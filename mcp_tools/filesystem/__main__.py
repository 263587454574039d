"""The server over standard input and output: `python -m mcp_tools.filesystem --root DIR [--read-only]`."""

import argparse

from mcp_tools.filesystem import create_server
from mcp_tools.filesystem.settings import FilesystemSettings, SettingsError


def main() -> None:
    """Serve until standard input ends. Exits with status 2 and a message for arguments that are not usable."""
    fields = FilesystemSettings.model_fields
    parser = argparse.ArgumentParser(prog="python -m mcp_tools.filesystem", description="MCP server for files (stdio).")
    parser.add_argument("--root", action="append", dest="roots", required=True, metavar="DIR", help="allowed folder")
    parser.add_argument("--read-only", action="store_true", help=fields["read_only"].description)
    parser.add_argument("--allow-delete", action="store_true", help=fields["allow_delete"].description)
    for name in ("max_read_bytes", "max_media_bytes", "max_write_bytes"):
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=int,
            default=fields[name].default,
            metavar="N",
            help=fields[name].description,
        )
    arguments = parser.parse_args()
    try:
        server = create_server(vars(arguments))
    except SettingsError as error:
        parser.error(str(error))
    server.run()


if __name__ == "__main__":
    main()
