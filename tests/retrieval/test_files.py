"""What becomes of each kind of file: text, headings, pages, and files that cannot be read."""

import os
import sys
import zlib

import pytest

from gateway.retrieval.knowledge_bases import KnowledgeBases

pytestmark = pytest.mark.anyio


async def ingested(bases, docs):
    """The skipped files of an ingest by name."""
    report = await bases.ingest("kb", docs)
    return {skipped.file: skipped.reason for skipped in report.skipped}


async def where(bases, query):
    best = (await bases.search("kb", query))[0]
    return best.file, best.heading, best.page


async def test_pdf_passage_names_its_page(bases, docs, pdf):
    (docs / "manual.pdf").write_bytes(
        pdf(["Unpack the coffee machine.", "Descale it with vinegar every month.", "Gew\xe4hrleistung: zwei Jahre."])
    )
    assert await ingested(bases, docs) == {}
    assert await where(bases, "removing limescale") == ("manual.pdf", (), 2)
    assert await where(bases, "Gewährleistung") == ("manual.pdf", (), 3)
    assert "Gewährleistung: zwei Jahre." in (await bases.read("kb", "manual.pdf")).text


async def test_pdf_is_known_by_its_contents_too(bases, docs, pdf):
    (docs / "report").write_bytes(pdf(["Quarterly figures went up."]))
    await ingested(bases, docs)
    assert await where(bases, "quarterly figures") == ("report", (), 1)


async def test_pdf_without_text_is_reported_with_what_to_do(bases, docs, pdf):
    (docs / "scan.pdf").write_bytes(pdf(["", ""]))
    (docs / "ok.md").write_text("# Fine\n\nText.\n")
    skipped = await ingested(bases, docs)
    assert list(skipped) == ["scan.pdf"]
    assert "2 pages but no text" in skipped["scan.pdf"] and "OCR" in skipped["scan.pdf"]
    (described,) = await bases.list()
    assert (described.files, [one.file for one in described.skipped]) == (1, ["scan.pdf"])


async def test_broken_pdf_does_not_stop_the_others(bases, docs, pdf):
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7\n" + os.urandom(2000))
    (docs / "good.pdf").write_bytes(pdf(["All is well."]))
    assert list(await ingested(bases, docs)) == ["broken.pdf"]
    assert (await where(bases, "well"))[0] == "good.pdf"


async def test_html_keeps_headings_and_drops_what_is_not_shown(bases, docs):
    (docs / "page.html").write_text(
        "<!doctype html><html><head><title>Shop</title><style>h1{color:red}</style></head><body>"
        "<script>var secret = 'tracker';</script><h1>Shipping <em>rules</em></h1><p>Parcels leave<br>daily.</p>"
        "<h2>Prices</h2><table><tr><td>Germany</td><td>5&nbsp;€</td></tr></table><pre>a\n  b</pre></body></html>"
    )
    await ingested(bases, docs)
    text = (await bases.read("kb", "page.html")).text
    assert text == "Shipping rules\n\nParcels leave\ndaily.\n\nPrices\n\nGermany | 5 €\n\na\n  b"
    assert await where(bases, "how much is a parcel to Germany") == ("page.html", ("Shipping rules", "Prices"), None)


async def test_html_without_a_main_heading_is_named_by_its_title(bases, docs):
    (docs / "page.htm").write_text("<html><title>Opening  hours</title><body><p>Nine to five.</p></body></html>")
    await ingested(bases, docs)
    assert await where(bases, "when") == ("page.htm", ("Opening hours",), None)


async def test_html_nested_beyond_reason_is_read(bases, docs):
    (docs / "deep.html").write_text("<html><body>" + "<div>" * 20_000 + "treasure" + "</div>" * 20_000)
    await ingested(bases, docs)
    assert (await bases.read("kb", "deep.html")).text == "treasure"


async def test_markdown_headings_of_both_kinds_count_and_code_does_not(bases, docs):
    (docs / "a.md").write_text(
        "---\ntitle: x\n---\nTop\n===\n\nIntro.\n\n"
        "```sh\n# not a heading\necho apples\n```\n\n"
        "Second\n---\n\n### [Deep](x.md) `code` ##\n\nBananas are yellow.\n"
    )
    await ingested(bases, docs)
    assert await where(bases, "colour of bananas") == ("a.md", ("Top", "Second", "Deep code"), None)
    assert await where(bases, "echo apples") == ("a.md", ("Top",), None)


async def test_heading_without_text_is_not_a_hit_of_its_own(bases, docs):
    (docs / "a.md").write_text("# Guide\n\n## Cats\n\n### Food\n\nThey eat fish.\n")
    await ingested(bases, docs)
    (only,) = await bases.search("kb", "cats")
    assert only.heading == ("Guide", "Cats", "Food")
    assert only.text == "# Guide\n\n## Cats\n\n### Food\n\nThey eat fish.\n"


async def test_file_of_headings_alone_can_still_be_found(bases, docs):
    (docs / "a.md").write_text("# Cats\n\n## Dogs\n")
    await ingested(bases, docs)
    assert (await where(bases, "dogs"))[0] == "a.md"


async def test_text_is_read_in_the_encodings_that_people_use(bases, docs):
    text = "Müllers Käse kostet 5 €.\r\nZwei Zeilen.\r\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        (docs / f"{encoding}.txt").write_bytes(text.encode(encoding))
    assert await ingested(bases, docs) == {}
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        document = await bases.read("kb", f"{encoding}.txt")
        assert document.text == "Müllers Käse kostet 5 €.\nZwei Zeilen.\n"


async def test_every_file_that_is_text_is_taken_whatever_its_name(bases, docs):
    (docs / "Makefile").write_text("run:\n\techo running the gateway\n")
    (docs / "sub").mkdir()
    (docs / "sub" / "Straße.cfg").write_text("port = 8080\n")
    assert await ingested(bases, docs) == {}
    assert (await where(bases, "port 8080"))[0] == "sub/Straße.cfg"


async def test_files_without_text_are_reported_with_the_reason(tmp_path, docs):
    (docs / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    (docs / "empty.md").write_bytes(b"")
    (docs / "blank.html").write_text("<html><body><script>x</script></body></html>")
    (docs / "weird.bin").write_bytes(b"\xff\xfa\xfb\xfc")
    (docs / "big.txt").write_text("word " * 1000)
    (docs / "good.md").write_text("# Good\n\nText.\n")
    os.mkfifo(docs / "pipe.txt")
    (docs / ".hidden.md").write_text("# Hidden\n\nSecret.\n")
    async with KnowledgeBases(tmp_path / "data", max_file_bytes=2048) as bases:
        report = await bases.ingest("kb", docs)
        skipped = {one.file: one.reason for one in report.skipped}
        assert skipped.pop("big.txt").startswith("too large")
        assert skipped == {
            "image.png": "not a text file",
            "empty.md": "it holds no text",
            "blank.html": "it holds no text",
            "weird.bin": "not a text file (or not in UTF-8)",
            "pipe.txt": "not a regular file",
        }
        assert {p.file for p in await bases.search("kb", "secret text")} == {"good.md"}
        assert (report.added, report.changed, report.unchanged) == (1, 0, 0)
        (docs / "weird.bin").unlink()
        again = await bases.ingest("kb", docs)
        assert (again.added, again.removed, again.unchanged, len(again.skipped)) == (0, 0, 1, 5)
        last = await bases.ingest("kb", docs)
        assert (last.unchanged, last.skipped) == (1, again.skipped)
    async with KnowledgeBases(tmp_path / "data") as bases:
        report = await bases.ingest("kb", docs)
        assert (report.added, report.changed, report.unchanged) == (1, 0, 1)
        assert "big.txt" not in {one.file for one in report.skipped}


async def test_link_that_leads_outside_the_folder_is_not_followed(bases, docs, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("# Secret\n\nThe password is swordfish.\n")
    (docs / "inside.md").write_text("# Inside\n\nHarmless.\n")
    (docs / "file-link.md").symlink_to(outside / "secret.md")
    (docs / "folder-link").symlink_to(outside)
    (docs / "loop").symlink_to(docs)
    (docs / "again.md").symlink_to(docs / "inside.md")
    skipped = await ingested(bases, docs)
    assert set(skipped) == {"file-link.md", "folder-link"}
    assert all("leads outside" in reason for reason in skipped.values())
    assert {p.file for p in await bases.search("kb", "swordfish")} == {"inside.md"}


async def test_file_that_became_unreadable_text_is_forgotten_and_comes_back(bases, docs):
    (docs / "a.md").write_text("# Fruit\n\nApples.\n")
    await ingested(bases, docs)
    (docs / "a.md").write_bytes(b"\x00\x01\x02")
    assert list(await ingested(bases, docs)) == ["a.md"]
    assert await bases.search("kb", "apples") == ()
    (docs / "a.md").write_text("# Fruit\n\nPears.\n")
    assert await ingested(bases, docs) == {}
    assert (await bases.search("kb", "pears"))[0].text == "# Fruit\n\nPears.\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are not text")
async def test_name_that_is_not_text_is_reported(bases, docs):
    (docs / os.fsdecode(b"caf\xe9.md")).write_text("# Coffee\n\nHot.\n")
    assert set((await ingested(bases, docs)).values()) == {"its name is not valid Unicode"}


async def test_one_endless_word_is_cut_and_kept_whole_in_the_text(bases, docs):
    endless = "A1b2" * 5000
    (docs / "blob.txt").write_text(f"Before.\n{endless}\nAfter.\n")
    await ingested(bases, docs)
    assert (await bases.read("kb", "blob.txt")).text == f"Before.\n{endless}\nAfter.\n"
    assert len(await bases.search("kb", "before", 50)) > 1


async def test_chunks_keep_to_about_800_tokens(bases, docs):
    (docs / "long.txt").write_text(
        "\n\n".join(f"Paragraph {n}. " + "Plain words follow here. " * 20 for n in range(90))
    )
    await ingested(bases, docs)
    passages = await bases.search("kb", "plain words", 50)
    assert 12 <= len(passages) <= 20
    # A plain English word is about one token; each chunk but the last is nearly full.
    assert all(len(passage.text.split()) < 850 for passage in passages)
    assert sum(len(passage.text.split()) > 500 for passage in passages) >= len(passages) - 1


async def test_headings_made_to_take_long_are_read_like_others(bases, docs):
    long = [
        " " * 300_000 + "x",
        "[" * 300_000,
        "[](" * 100_000,
        "_" * 300_000 + "a",
        "{#" * 200_000,
        "#" * 300_000 + "a",
    ]
    for number, rest in enumerate(long):
        (docs / f"{number}.md").write_text(f"# Apples {rest}\n\nText.\n")
        (docs / f"{number}-under.md").write_text(f"Apples {rest}\n---\n\nText.\n")
    assert await ingested(bases, docs) == {}
    found = await bases.search("kb", "apples", 50)
    assert {passage.file for passage in found} == {file.name for file in docs.iterdir()}
    assert all(passage.heading[-1].startswith("Apples") for passage in found)
    assert all(len(passage.heading[-1]) <= 500 for passage in found)


async def test_headings_lose_their_markup_and_keep_their_words(bases, docs):
    (docs / "a.md").write_text(
        "# [![logo](a.png)](b.md) The *first* `one` ##\n\nApples.\n\n"
        "#\tSnake_case and _stress_ {#anchor}\n\nPears.\n\n"
        "# C# ##\n\nPlums.\n\n# F#\n\nFigs.\n\n#hashtag\n\n# \n\nNot a heading.\n"
    )
    assert await ingested(bases, docs) == {}
    found = [(await where(bases, fruit))[1] for fruit in ("apples", "pears", "plums", "figs")]
    assert found == [("logo The first one",), ("Snake_case and stress",), ("C#",), ("F#",)]


async def test_a_file_that_takes_too_long_is_skipped_and_the_others_are_read(tmp_path, docs):
    (docs / "deep.html").write_text("<html><body>" + "<div>" * 1_000_000 + "treasure")
    (docs / "good.md").write_text("# Good\n\nText.\n")
    (docs / "later.txt").write_text("Later words.\n")
    async with KnowledgeBases(tmp_path / "data", max_file_seconds=1) as bases:
        skipped = await ingested(bases, docs)
        assert skipped == {"deep.html": "reading it takes longer than 1 s"}
        assert (await where(bases, "later words"))[0] == "later.txt"
    # It is not tried again before it changes: that would say 2 s.
    async with KnowledgeBases(tmp_path / "data", max_file_seconds=2) as bases:
        again = await bases.ingest("kb", docs)
        assert (again.unchanged, {one.file: one.reason for one in again.skipped}) == (2, skipped)


async def test_a_pdf_that_unpacks_to_more_than_fits_is_skipped(bases, docs, pdf):
    (docs / "bomb.pdf").write_bytes(packed_pdf(b"(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa) Tj " * 850_000))
    (docs / "good.pdf").write_bytes(pdf(["All is well."]))
    (docs / "good.md").write_text("# Good\n\nText.\n")
    skipped = await ingested(bases, docs)
    assert list(skipped) == ["bomb.pdf"]
    assert "memory" in skipped["bomb.pdf"]
    assert (await where(bases, "well"))[0] == "good.pdf"


async def test_a_page_with_more_text_than_a_file_may_have_is_skipped(tmp_path, docs):
    lines = [b"1 0 0 1 2 %d Tm (%s) Tj " % (line, b"word " * 30) for line in range(2, 98)]
    (docs / "much.pdf").write_bytes(packed_pdf(b"/F1 1 Tf " + b"".join(lines)))
    async with KnowledgeBases(tmp_path / "data", max_file_bytes=5000) as bases:
        skipped = await ingested(bases, docs)
    assert list(skipped) == ["much.pdf"] and "more text than" in skipped["much.pdf"]


def packed_pdf(drawn):
    """A PDF of one page whose drawing is compressed."""
    stream = zlib.compress(b"BT /F1 12 Tf 10 10 Td " + drawn + b"ET", 9)
    bodies = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, start=1):
        places.append(len(out))
        out += b"%d 0 obj%sendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 6\n0000000000 65535 f \n%strailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
    return out + head % (table, len(out))
