"""The command and its subcommands, and the one place where an error becomes a line on the terminal."""

import gc
import importlib
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from gateway.agents.positions import DocumentError
from gateway.cli.hosts import Host
from gateway.errors import GatewayError
from gateway.settings import Settings, SettingsError, read_settings

app = typer.Typer(
    name="homeport",
    help="The agent gateway you own: agents in YAML, any OpenAI client, any model provider, tools over MCP.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
errors = Console(stderr=True, highlight=False)

Config = Annotated[Path | None, typer.Option("--config", "-c", help="The settings file (default: ./gateway.yaml).")]
Data = Annotated[Path | None, typer.Option("--data", help="Where state is kept (default: ./.data).")]
Agents = Annotated[Path | None, typer.Option("--agents", help="The folder of agent documents (default: ./agents).")]


def command(name: str) -> Any:
    """The module of a command, imported when it is run: the others' imports are most of a start."""
    return importlib.import_module(f"gateway.cli.{name}")


def settings_of(config: Path | None = None, **overrides: Any) -> Settings:
    return read_settings(os.environ, config, overrides)


def show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"homeport {version('homeport')}")
        raise typer.Exit


@app.callback()
def root(
    asked: Annotated[
        bool, typer.Option("--version", "-V", is_eager=True, callback=show_version, help="Show the version and leave.")
    ] = False,
) -> None:
    """What is true of every subcommand; `--version` is answered before one is looked for."""


@app.command("serve")
def serve_command(
    host: Annotated[str | None, typer.Option(help="The address to listen on (default: 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; 0 takes a free one (default: 8080).")] = None,
    data: Data = None,
    agents: Agents = None,
    config: Config = None,
    show_key: Annotated[
        bool, typer.Option("--show-key", help="Print this machine's key where the output is no terminal, too.")
    ] = False,
) -> None:
    """Start the gateway."""
    command("serve").run(settings_of(config, host=host, port=port, data=data, agents=agents), show_key=show_key)


@app.command("chat")
def chat_command(
    agent: Annotated[str, typer.Argument(help="The agent, or a raw model of the settings.")],
    message: Annotated[str | None, typer.Option("--message", "-m", help="Say this and leave.")] = None,
    url: Annotated[str | None, typer.Option(help="A running gateway (default: the one of this data folder).")] = None,
    key: Annotated[str | None, typer.Option(help="Its API key (default: HOMEPORT_KEY or this machine's own).")] = None,
    data: Data = None,
    agents: Agents = None,
    config: Config = None,
) -> None:
    """Talk to an agent in the terminal; its tool calls are shown as they happen."""
    settings = settings_of(config, data=data, agents=agents)
    command("chat").run(settings, agent, message, url, key or os.environ.get("HOMEPORT_KEY"))


@app.command("doctor")
def doctor_command(
    online: Annotated[
        bool, typer.Option("--online", help="Also ask each model of the agents for one word. It may cost a few tokens.")
    ] = False,
    data: Data = None,
    agents: Agents = None,
    config: Config = None,
) -> None:
    """Check this installation: settings, agents, providers, tool servers, disk."""
    raise typer.Exit(command("doctor").run(settings_of(config, data=data, agents=agents), online=online))


agent_app = typer.Typer(help="Agent documents.", no_args_is_help=True)
app.add_typer(agent_app, name="agent")


@agent_app.command("validate")
def agent_validate(
    paths: Annotated[list[Path] | None, typer.Argument(help="Documents (default: all of the agents folder).")] = None,
    agents_folder: Agents = None,
    config: Config = None,
) -> None:
    """Check agent documents; every problem is a line `file:line:column: what is wrong`."""
    raise typer.Exit(command("agents").validate(settings_of(config, agents=agents_folder), paths or []))


@agent_app.command("show")
def agent_show(
    name: Annotated[str, typer.Argument(help="The agent's name.")], agents_folder: Agents = None, config: Config = None
) -> None:
    """Show an agent as the gateway understands it, every default visible, with its content digest."""
    command("agents").show(settings_of(config, agents=agents_folder), name)


@agent_app.command("schema")
def agent_schema() -> None:
    """Print the JSON Schema of the agent document, for completion in an editor."""
    command("agents").schema()


import_app = typer.Typer(help="Take over what other places keep.", no_args_is_help=True)
app.add_typer(import_app, name="import")


@import_app.command("prompt")
def import_prompt(
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The saved prompt: JSON, YAML or text.")],
    name: Annotated[str | None, typer.Option(help="The agent's name (default: the prompt's, else the file's).")] = None,
    agents_folder: Agents = None,
    config: Config = None,
) -> None:
    """Make an agent document of a prompt that was saved from OpenAI."""
    command("imports").prompt(settings_of(config, agents=agents_folder), path, name)


keys_app = typer.Typer(help="API keys of this gateway.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="Who it is for.")], data: Data = None, config: Config = None
) -> None:
    """Make a key. It is shown once, as the last word; only a hash of it is kept."""
    command("keys").create(settings_of(config, data=data), name)


@keys_app.command("list")
def keys_list(data: Data = None, config: Config = None) -> None:
    """List the keys."""
    command("keys").show(settings_of(config, data=data))


@keys_app.command("revoke")
def keys_revoke(
    name: Annotated[str, typer.Argument(help="The key's name or its prefix.")], data: Data = None, config: Config = None
) -> None:
    """Make a key useless at once."""
    command("keys").revoke(settings_of(config, data=data), name)


kb_app = typer.Typer(help="Knowledge bases that the rag server searches.", no_args_is_help=True)
app.add_typer(kb_app, name="kb")


@kb_app.command("add")
def kb_add(
    id: Annotated[str, typer.Argument(help="The knowledge base; it is made if it is not there.")],
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Markdown, text, HTML and PDF files.")],
    replace: Annotated[bool, typer.Option("--replace", help="Let it take the place of another folder.")] = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Take a folder into a knowledge base. Only files that changed are read again."""
    raise typer.Exit(command("kb").add(settings_of(config, data=data), id, folder, replace=replace))


@kb_app.command("remove")
def kb_remove(
    id: Annotated[str, typer.Argument(help="The knowledge base.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Forget a knowledge base. Its folder is not touched."""
    command("kb").remove(settings_of(config, data=data), id, sure=yes)


@kb_app.command("search")
def kb_search(
    id: Annotated[str, typer.Argument(help="The knowledge base.")],
    query: Annotated[list[str], typer.Argument(help="What to look for.")],
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many passages.")] = 5,
    data: Data = None,
    config: Config = None,
) -> None:
    """Search a knowledge base as an agent would."""
    command("kb").search(settings_of(config, data=data), id, " ".join(query), limit)


@kb_app.command("list")
def kb_list(data: Data = None, config: Config = None) -> None:
    """List the knowledge bases."""
    command("kb").show(settings_of(config, data=data))


mcp_app = typer.Typer(help="The tool servers, for other MCP hosts.", no_args_is_help=True)
app.add_typer(mcp_app, name="mcp")


@mcp_app.command("serve")
def mcp_serve(
    name: Annotated[str, typer.Argument(help="A server of the settings, such as rag.")],
    data: Data = None,
    agents: Agents = None,
    config: Config = None,
) -> None:
    """Serve one tool server over stdio, with the gateway's settings."""
    command("mcp").serve(settings_of(config, data=data, agents=agents), name)


@mcp_app.command("config")
def mcp_config(
    name: Annotated[str, typer.Argument(help="A server of the settings, such as rag.")],
    host: Annotated[Host, typer.Option("--for", help="The program that is to start it.")] = Host.CLAUDE,
    data: Data = None,
    agents: Agents = None,
    config: Config = None,
) -> None:
    """Print the JSON with which Claude Desktop, Cursor or VS Code start a tool server of this machine."""
    command("mcp").show_config(settings_of(config, data=data, agents=agents), config, name, host)


model_app = typer.Typer(help="The local model that needs no key.", no_args_is_help=True)
app.add_typer(model_app, name="model")


@model_app.command("pull")
def model_pull() -> None:
    """Download the local model (1.1 GB). An interrupted download is taken up where it stopped."""
    command("models").pull(os.environ)


@model_app.command("status")
def model_status() -> None:
    """Say whether the local model is here and can run."""
    raise typer.Exit(command("models").status(os.environ))


@model_app.command("remove")
def model_remove() -> None:
    """Delete the local model's weights."""
    command("models").remove(os.environ)


def main() -> None:
    """What the `homeport` command runs. A known error is one clear message and exit status 1, never a traceback."""
    # An import leaves no garbage behind, and looking for it is a tenth of what a start costs.
    gc.set_threshold(100_000, 10, 10)
    try:
        app()
    except (SettingsError, DocumentError, GatewayError) as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
