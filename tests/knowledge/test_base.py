"""One knowledge base: each text is embedded once, and what cannot be written is searched as it is."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from imgrag.errors import Cancelled, LibraryError
from imgrag.knowledge import KnowledgeShelf
from imgrag.knowledge.base import BATCH
from tests.fakes import FakeEmbedder
from tests.library.test_disks import mounted

NO_BASES = Path(__file__).parent / "none"


class Counting(FakeEmbedder):
    """It notes what it embeds."""

    def __init__(self, model_id="fake"):
        super().__init__(model_id)
        self.texts = []

    def embed_texts(self, texts):
        self.texts += texts
        return super().embed_texts(texts)


@pytest.fixture
def shelf(tmp_path):
    return KnowledgeShelf(tmp_path / "own", tmp_path / "cache", NO_BASES)


def filled(shelf, tmp_path, *rows):
    shelf.create("mine")
    (tmp_path / "rows.csv").write_text("\n".join(("term,text", *rows)))
    base = shelf.open("mine")
    base.add(tmp_path / "rows.csv")
    return base


def test_each_text_is_embedded_once_for_each_model(shelf, tmp_path):
    base = filled(shelf, tmp_path, "zorblax,it hoots like an owl", "sea,the sea is blue")
    first, second = Counting(), Counting("other")
    for embedder in (first, first, second):
        assert base.search("an owl", 2, embedder)[0].term == "zorblax"
    asked = ["zorblax: it hoots like an owl", "the sea is blue", "an owl"]
    assert (first.texts, second.texts) == ([*asked, "an owl"], asked)


def test_what_is_wholly_asked_for_comes_before_what_merely_looks_so(shelf, tmp_path):
    base = filled(shelf, tmp_path, "night bird,an owl", "zorblax,a cat")
    found = base.search("a zorblax and an owl", 2, FakeEmbedder())
    assert [(fact.term, fact.score) for fact in found] == [("zorblax", 0.0), ("night bird", 1.0)]


def test_embedding_that_is_stopped_goes_on_where_it_was(shelf, tmp_path):
    base = filled(shelf, tmp_path, *(f"thing {n},text {n}" for n in range(2 * BATCH)))
    embedder, looks = Counting(), []

    def check():
        looks.append(1)
        if len(looks) == 2:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        base.search("thing 7", 1, embedder, check)
    assert len(embedder.texts) == BATCH
    assert base.search("thing 7", 1, embedder)[0].term == "thing 7"
    assert len(embedder.texts) == 2 * BATCH + 1


def test_the_same_text_is_there_once_and_one_line_is_taken_out(shelf, tmp_path):
    base = filled(shelf, tmp_path, "sea,blue", "sea,wet", "sea,blue", "!,odd")
    assert base.count() == 3
    assert base.remove("sea", "wet") == base.remove("!", "odd") == base.remove("THE SEA") == 1
    assert base.count() == 0


def test_a_disk_that_cannot_be_written_is_searched_as_it_is(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if not mounted("size=4M", disk):
        pytest.skip("a small disk can be mounted by the administrator of a Linux alone")
    try:
        shelf = KnowledgeShelf(disk, tmp_path / "cache", NO_BASES)
        filled(shelf, tmp_path, "sea,the sea is blue").close()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with closing(KnowledgeShelf(disk, tmp_path / "cache", NO_BASES).open("mine")) as base:
            assert [fact.score for fact in base.search("the sea", 1, FakeEmbedder())] == [0.0]
            with pytest.raises(LibraryError, match="cannot be written or is full"):
                base.remove("sea")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
