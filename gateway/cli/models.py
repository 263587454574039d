"""`homeport model`: fetch, look at and remove the weights of the local model."""

import asyncio
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from gateway.local_model import needs, pulling, weights
from gateway.settings import weights_folder

console = Console(highlight=False)


def pull(environ: Mapping[str, str]) -> None:
    """Shows a bar while it loads. Raises WeightsError."""
    folder, chosen = weights_folder(environ), weights.QWEN_CODER
    if weights.status(folder).complete:
        console.print(f"[green]✓[/] {chosen.title} is in {folder}")
        return
    console.print(f"Fetching [bold]{chosen.title}[/] ({chosen.size / 1e9:.1f} GB, {chosen.licence}) into {folder}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("starting", total=chosen.size)

        def show(done: int, total: int, phase: str) -> None:
            progress.update(bar, completed=done, total=total, description=phase[:40])

        path = asyncio.run(pulling.pull(folder, show))
    console.print(f"[green]✓[/] {path}, sha256 checked")


def status(environ: Mapping[str, str]) -> int:
    """Exit status 1 if the model cannot be used as it is."""
    found = weights.status(weights_folder(environ))
    engine = needs.engine_is_here()
    if found.complete:
        console.print(f"[green]✓[/] weights: {found.path}")
    else:
        part = (
            f"{found.bytes_present / 1e6:.0f} of {found.bytes_total / 1e6:.0f} MB are here; "
            if found.bytes_present
            else ""
        )
        console.print(f"[red]✗[/] weights: {part}run `{escape(needs.pull())}`", soft_wrap=True)
    missing = f"[red]✗[/] engine: run `{escape(needs.install())}`"
    console.print(f"[green]✓[/] engine: {needs.ENGINE}" if engine else missing, soft_wrap=True)
    return 0 if found.complete and engine else 1


def remove(environ: Mapping[str, str]) -> None:
    freed = asyncio.run(weights.remove(weights_folder(environ)))
    console.print(f"Freed {freed / 1e6:.0f} MB." if freed else "There was nothing to remove.")
