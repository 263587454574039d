"""`homeport kb`, as a process, the way a person runs it."""

import re
import shutil

import pytest

from tests.test_cli import ROOT, homeport


@pytest.fixture
def drinks(home):
    """A home with a knowledge base `drinks` of the folder `docs`, which holds a photo too."""
    docs = home / "docs"
    docs.mkdir()
    (docs / "tea.md").write_text("# Tea\n\nGreen tea is steeped at 80 degrees.\n")
    (docs / "photo.jpg").write_bytes(b"\xff\xd8\xff\x00")
    status, said = homeport(home, "kb", "add", "drinks", "docs")
    assert status == 0, said
    assert "drinks: 1 added, 0 changed, 0 removed, 0 unchanged, 1 skipped" in said
    assert "skipped photo.jpg: not a text file" in said
    return home


def test_what_add_says_is_true_each_time(drinks):
    _, again = homeport(drinks, "kb", "add", "drinks", "docs")
    (drinks / "docs" / "coffee.md").write_text("# Coffee\n\nWater for coffee has 95 degrees.\n")
    (drinks / "docs" / "tea.md").unlink()
    (drinks / "docs" / "photo.jpg").unlink()
    status, changed = homeport(drinks, "kb", "add", "drinks", "docs")
    assert "drinks: 0 added, 0 changed, 0 removed, 1 unchanged, 1 skipped" in again
    assert (status, "drinks: 1 added, 0 changed, 1 removed, 0 unchanged, 0 skipped" in changed) == (0, True)


def test_a_document_that_cannot_be_read_fails_the_command_and_is_named_first(drinks):
    docs = drinks / "docs"
    for number in range(25):
        (docs / f"{number:02}.jpg").write_bytes(b"\xff\xd8\xff\x00")
    (docs / "empty.md").write_text("")
    passed_over, _ = homeport(drinks, "kb", "add", "drinks", "docs")
    (docs / "torn.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    status, said = homeport(drinks, "kb", "add", "drinks", "docs")
    _, found = homeport(drinks, "kb", "search", "drinks", "green tea")
    assert (passed_over, status, "tea.md" in found) == (0, 1, True)
    assert "skipped torn.pdf: not a readable PDF" in said


def test_of_many_files_that_cannot_be_read_the_first_are_named_and_the_rest_counted(drinks):
    for number in range(25):
        (drinks / "docs" / f"{number:02}.jpg").write_bytes(b"\xff\xd8\xff\x00")
    _, said = homeport(drinks, "kb", "add", "drinks", "docs")
    assert said.count("not a text file") == 20
    assert "skipped 6 more" in said
    assert "26 skipped" in said


def test_another_folder_does_not_take_the_place_of_the_first_unasked(drinks):
    (drinks / "zoo").mkdir()
    (drinks / "zoo" / "zebra.md").write_text("# Zebras\n\nThey live in Africa.\n")
    status, refused = homeport(drinks, "kb", "add", "drinks", "zoo")
    _, kept = homeport(drinks, "kb", "search", "drinks", "green tea")
    assert (status, "tea.md" in kept) == (1, True)
    assert str(drinks / "docs") in refused
    assert "--replace" in refused
    status, said = homeport(drinks, "kb", "add", "drinks", "zoo", "--replace")
    _, now = homeport(drinks, "kb", "search", "drinks", "where do zebras live")
    assert (status, "1 added, 0 changed, 1 removed" in said) == (0, True)
    assert "zebra.md" in now
    assert "tea.md" not in now


@pytest.mark.parametrize("holds", ["nothing", "hidden.md", "photo.jpg"])
def test_a_folder_without_documents_makes_no_knowledge_base_and_is_told_what_is_read(home, holds):
    (home / "docs").mkdir()
    if holds == "hidden.md":
        (home / "docs" / ".hidden.md").write_text("# Hidden\n\nSecret.\n")
    elif holds == "photo.jpg":
        (home / "docs" / "photo.jpg").write_bytes(b"\xff\xd8\xff\x00")
    status, said = homeport(home, "kb", "add", "drinks", "docs")
    _, listed = homeport(home, "kb", "list")
    assert (status, "Traceback" in said) == (1, False)
    assert "Markdown, text, HTML and PDF files" in said
    assert ("photo.jpg: not a text file" in said) == (holds == "photo.jpg")
    assert "There are no knowledge bases" in listed


def test_a_folder_that_is_empty_now_takes_nothing_away(drinks):
    shutil.rmtree(drinks / "docs")
    (drinks / "docs").mkdir()
    status, said = homeport(drinks, "kb", "add", "drinks", "docs")
    _, found = homeport(drinks, "kb", "search", "drinks", "green tea")
    assert (status, "nothing was changed" in said) == (1, True)
    assert "80 degrees" in found


@pytest.mark.parametrize(("options", "typed"), [(["--yes"], ""), ([], "y\n")])
def test_a_knowledge_base_is_removed_and_its_folder_stays(drinks, options, typed):
    status, said = homeport(drinks, "kb", "remove", "drinks", *options, typed=typed)
    _, listed = homeport(drinks, "kb", "list")
    assert (status, "drinks is removed" in said) == (0, True)
    assert "drinks" not in listed
    assert (drinks / "docs" / "tea.md").exists()


@pytest.mark.parametrize("typed", ["\n", ""])
def test_a_knowledge_base_is_not_removed_without_a_yes(drinks, typed):
    status, said = homeport(drinks, "kb", "remove", "drinks", typed=typed)
    _, found = homeport(drinks, "kb", "search", "drinks", "green tea")
    assert (status, "1 files" in said, "80 degrees" in found) == (1, True, True)


def test_removing_what_is_not_there_says_what_is(drinks):
    status, said = homeport(drinks, "kb", "remove", "drink", "--yes")
    assert status == 1
    assert "There are: drinks" in said


def test_the_knowledge_base_of_the_settings_is_neither_replaced_nor_removed(drinks):
    knowledge = drinks / "agents" / "knowledge"
    shutil.copytree(ROOT / "agents" / "knowledge", knowledge)
    assert homeport(drinks, "kb", "add", "homeport", "agents/knowledge")[0] == 0
    for command in (
        ["add", "homeport", "docs"],
        ["add", "homeport", "docs", "--replace"],
        ["remove", "homeport", "-y"],
    ):
        status, said = homeport(drinks, "kb", *command)
        assert (status, "in step with agents/knowledge" in said) == (1, True)
    _, found = homeport(drinks, "kb", "search", "homeport", "How do I make an API key?")
    assert "keys.md" in found
    shutil.rmtree(knowledge)
    assert homeport(drinks, "kb", "remove", "homeport", "--yes")[0] == 0


def test_a_passage_is_shown_with_its_score_and_its_whole_place(home):
    docs = home / "docs"
    docs.mkdir()
    heading = "What to know of " + "green tea, black tea, white tea and " * 4 + "infusions"
    (docs / "tea.md").write_text(f"# {heading}\n\nGreen tea is steeped at 80 degrees.\n")
    assert homeport(home, "kb", "add", "drinks", "docs")[0] == 0
    _, found = homeport(home, "kb", "search", "drinks", "how hot for green tea", COLUMNS="80")
    assert re.search(r"\[1\] [01]\.\d\d ", found)
    assert f"tea.md, {heading}" in " ".join(found.replace("│", " ").split())


def test_passages_that_hardly_fit_are_marked(drinks):
    _, fits = homeport(drinks, "kb", "search", "drinks", "how hot for green tea")
    _, nothing = homeport(drinks, "kb", "search", "drinks", "my parcel has not arrived")
    assert "80 degrees" in fits
    assert "loose" not in fits
    assert "Nothing fits: the best score is 0." in nothing
    assert "loose" in nothing
    assert "80 degrees" in nothing
