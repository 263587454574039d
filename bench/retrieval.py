"""Retrieval quality: nDCG@10 and recall@100 of words alone, meaning alone and both, on test collections of your own.

    python bench/retrieval.py FOLDER

`FOLDER` holds collections in BEIR's layout, one folder each: `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl`
(`_id`, `text`) and `qrels/test.tsv`. Every document becomes a Markdown file and takes the whole way through the
product: folder, parser, chunker, embedder, index, search. No time is asserted; what is shown is this machine's.
"""

import argparse
import asyncio
import json
import math
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gateway.retrieval.knowledge_bases import KnowledgeBases
from gateway.retrieval.records import IngestProgress
from gateway.retrieval.weights import Weights

SYSTEMS = {"BM25": Weights(dense=0, lexical=1), "dense": Weights(dense=1, lexical=0), "hybrid": Weights()}
DEPTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Documents and questions by id, and how relevant (above 0) which document is to a question."""

    name: str
    documents: Mapping[str, str]
    queries: Mapping[str, str]
    relevant: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Means over all judged queries; `milliseconds` is the median a query took."""

    ndcg: float
    recall: float
    milliseconds: float


def load(folder: Path) -> Collection:
    """Read a collection."""
    relevant: dict[str, dict[str, int]] = defaultdict(dict)
    for line in (folder / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0:
            relevant[query][document] = int(grade)
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").open(encoding="utf-8")]
    queries = [json.loads(line) for line in (folder / "queries.jsonl").open(encoding="utf-8")]
    return Collection(
        name=folder.name,
        documents={row["_id"]: f"# {row['title']}\n\n{row['text']}\n" for row in corpus},
        queries={row["_id"]: row["text"] for row in queries if row["_id"] in relevant},
        relevant=relevant,
    )


def ndcg(ranking: Sequence[str], relevant: Mapping[str, int]) -> float:
    """Normalised discounted cumulative gain of the first ten, with the grades as gains."""
    ideal = sorted(relevant.values(), reverse=True)[:10]
    gained = sum(relevant.get(document, 0) / math.log2(place + 2) for place, document in enumerate(ranking[:10]))
    return gained / sum(grade / math.log2(place + 2) for place, grade in enumerate(ideal))


async def measure(bases: KnowledgeBases, collection: Collection, weights: Weights) -> Score:
    """Ask every question once. A document's rank is that of its best passage."""
    gains: list[float] = []
    recalls: list[float] = []
    times: list[float] = []
    for id, query in collection.queries.items():
        started = time.perf_counter()
        passages = await bases.search(collection.name, query, DEPTH, weights=weights)
        times.append(time.perf_counter() - started)
        ranking = list(dict.fromkeys(passage.file.removesuffix(".md") for passage in passages))
        wanted = collection.relevant[id]
        gains.append(ndcg(ranking, wanted))
        recalls.append(len(wanted.keys() & set(ranking)) / len(wanted))
    return Score(
        ndcg=statistics.mean(gains), recall=statistics.mean(recalls), milliseconds=statistics.median(times) * 1000
    )


def write(collection: Collection, folder: Path) -> None:
    """One Markdown file a document."""
    folder.mkdir()
    for id, text in collection.documents.items():
        (folder / f"{id}.md").write_text(text, encoding="utf-8")


async def ingest(bases: KnowledgeBases, collection: Collection, folder: Path, progress: Progress) -> float:
    """Write the documents as files and ingest them. Gives the seconds the ingest took."""
    await asyncio.to_thread(write, collection, folder)
    task = progress.add_task(f"{collection.name}: ingesting", total=len(collection.documents))

    def show(step: IngestProgress) -> None:
        progress.update(task, completed=step.files_done)

    started = time.perf_counter()
    await bases.ingest(collection.name, folder, show)
    return time.perf_counter() - started


async def run(folders: Sequence[Path], console: Console) -> None:
    """Measure all collections and print the table."""
    table = Table("collection", "documents", "ingest s", "system", "nDCG@10", "recall@100", "ms a query")
    with tempfile.TemporaryDirectory() as work, Progress(console=console, transient=True) as progress:
        async with KnowledgeBases(Path(work) / "data") as bases:
            for folder in folders:
                collection = load(folder)
                seconds = await ingest(bases, collection, Path(work) / folder.name, progress)
                first = [collection.name, str(len(collection.documents)), f"{seconds:.1f}"]
                for name, weights in SYSTEMS.items():
                    score = await measure(bases, collection, weights)
                    values = [f"{score.ndcg:.3f}", f"{score.recall:.3f}", f"{score.milliseconds:.1f}"]
                    table.add_row(*first, name, *values)
                    first = ["", "", ""]
                table.add_section()
    console.print(table)


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description="Measure retrieval quality.")
    parser.add_argument("folder", type=Path, help="a folder of collections in BEIR's layout")
    folder: Path = parser.parse_args().folder
    collections = sorted(path.parent for path in folder.glob("*/corpus.jsonl"))
    if not collections:
        parser.error(f"{folder} holds no collection (NAME/corpus.jsonl)")
    asyncio.run(run(collections, Console()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
