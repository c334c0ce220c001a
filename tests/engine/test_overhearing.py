"""What models are asked is noted with their answers, and stays with the run."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

from imgrag.archive import records
from imgrag.archive.reading import restored
from imgrag.engine.overhearing import LONGEST, Overheard
from imgrag.runs.values import Request
from tests.fakes import Cast, FakeChat, make_pipeline, tile


class Shelf:
    """Lends what it was given."""

    def __init__(self, **models):
        self.models = models

    @contextmanager
    def use(self, name, beside=None):
        yield self.models[name]


def test_a_chat_s_words_are_noted_word_for_word_and_nobody_else_s():
    noted, chat, other = [], FakeChat("Yes, it does."), object()
    shelf = Overheard(Shelf(llm=chat, clip=other), noted.append)
    with shelf.use("clip") as model:
        assert model is other
    with shelf.use("llm") as model:
        assert model.reply("Does it?", temperature=0.3, seed=4) == "Yes, it does."
        assert model.nbytes == chat.nbytes
    (one,) = noted
    assert (one.role, one.question, one.answer) == ("llm", "Does it?", "Yes, it does.")
    assert (one.read, one.written, one.pictures, one.temperature) == (2, 3, 0, 0.3)
    assert chat.asked == [("Does it?", 0, 0.3, 4)]


def test_likelihoods_are_noted_a_line_each_and_endless_texts_are_cut():
    noted, chat = [], FakeChat("Seen: a dog\nMissing: owl")
    with Overheard(Shelf(vlm=chat), noted.append).use("vlm") as model:
        model.reply("x" * (LONGEST + 5))
        model.sureness(["Does it show a dog? Answer", "Does it show an owl? Answer"], [tile("dog")])
        model.sureness([], [])
    assert len(noted[0].question) == LONGEST
    assert noted[1].answer == "yes: 99.0%\n\nyes: 1.0%"
    assert noted[1].pictures == 1
    assert len(noted) == 2


def test_a_run_keeps_what_was_asked_and_a_record_without_it_is_read(tmp_path):
    run = make_pipeline(tmp_path, Cast())(Request("a dog and a toolbox"))
    asked = {report.name: report.asked for report in run.stages}
    assert [one.role for one in asked["verdict"]] == ["vlm", "vlm"]
    assert "a dog and a toolbox" in asked["verdict"][0].question
    assert asked["verdict"][0].answer == run.rounds[0].verdict.raw
    assert asked["concepts"][0].role == "llm"
    assert asked["initial"] == ()
    record = records.record(run)
    pictures = records.images(run)
    assert restored(record, pictures.get).stages == run.stages
    for stage in record["stages"]:
        stage.pop("asked")
    assert restored(record, pictures.get).stages == tuple(replace(s, asked=()) for s in run.stages)
