"""The history's handlers without a browser: what is shown, looked at, done with many, given away; and a caption's Stop."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from imgrag.archive.history import History
from imgrag.runs.values import Request
from imgrag.ui.captions.events import Captions
from imgrag.ui.create.events.runs import Runs
from imgrag.ui.create.fields import Fields
from imgrag.ui.history.events import Past
from imgrag.ui.history.owners import owner_of
from imgrag.ui.history.sharing import Sharing
from imgrag.ui.server import shared, uploads
from imgrag.ui.server.guard import Guard
from imgrag.ui.server.streams import Streams
from tests.archive.test_history import keep
from tests.served import PagePipeline, page_pipeline

KEY = "k" * 48
PAGE: Any = SimpleNamespace(session_hash="page", query_params={})


@pytest.fixture
def pipeline(tmp_path: Path) -> PagePipeline:
    return page_pipeline(tmp_path)


def past_of(pipeline: PagePipeline) -> tuple[Runs, Past]:
    runs = Runs(pipeline, {"pocket": "pocket"})
    return runs, Past(runs, pipeline, Fields({}, ()))


def event(act: str, *ids: str, **more: Any) -> gr.EventData:
    return gr.EventData(None, {"act": act, "id": ids[0] if ids else "", "ids": list(ids), **more})


def kept(pipeline: PagePipeline, day: int, **values: Any) -> str:
    pipeline.results.mkdir(exist_ok=True)
    return keep(Path(pipeline.results), day, owner=owner_of(KEY), **values).id


def test_what_is_done_with_many_is_done_with_each_of_the_owner_s(pipeline):
    ids = [kept(pipeline, day) for day in (1, 2, 3)]
    _, past = past_of(pipeline)
    history = History(Path(pipeline.results))
    past.act(KEY, "", event("pin", *ids[:2]))
    assert [entry.pinned for entry in history.entries(owner_of(KEY))] == [False, True, True]
    assert past.act("x" * 48, "", event("delete", *ids))[0]  # a sentence: to others there are none
    assert len(history.entries(owner_of(KEY))) == 3
    banner, heading, cards, _ = past.act(KEY, "day 2", event("delete", ids[0], ids[2]))
    assert banner == "" and "1 found" in heading and "day 2" in cards
    assert [entry.id for entry in history.entries(owner_of(KEY))] == [ids[1]]


def test_a_name_is_shown_searched_and_nothing_of_it_becomes_markup(pipeline):
    run_id = kept(pipeline, 1)
    _, past = past_of(pipeline)
    html = past.act(KEY, "", event("name", run_id, name="<b>mine</b>"))[2]
    assert "&lt;b&gt;mine&lt;/b&gt;" in html and "<b>mine" not in html and "day 1" in html
    assert "1 found" in past.entries(KEY, "mine " * 40 + "more than is looked for")[1]
    assert "1 found" in past.entries(KEY, "MINE")[1] and "No run of yours" in past.entries(KEY, "yours")[1]


def test_only_an_owner_looks_at_a_run_large(pipeline):
    run_id = kept(pipeline, 1)
    _, past = past_of(pipeline)
    seen = past.look(KEY, event("look", run_id))
    assert seen["file"] == run_id and seen["src"].startswith("data:image/webp")
    assert past.look("x" * 48, event("look", run_id)) is None
    assert past.look(KEY, event("open", run_id)) is None


def test_what_is_given_away_is_a_file_or_a_sentence(pipeline):
    run_id, going = kept(pipeline, 1), kept(pipeline, 2, state="paused")
    runs, _ = past_of(pipeline)
    sharing = Sharing(runs, pipeline, links=False)
    given = sharing.give(PAGE, KEY, event("share-png", run_id))
    assert given["name"] == f"imgrag-{run_id}.png" and Path(given["file"]).is_file()
    assert sharing.give(PAGE, KEY, event("share-zip", going))["name"] == f"imgrag-{going}.zip"
    assert sharing.give(PAGE, KEY, event("download", run_id, going))["name"] == "imgrag-runs.zip"
    assert "Nothing is ticked" in sharing.give(PAGE, KEY, event("download"))["said"]
    assert "no run" in sharing.give(PAGE, "x" * 48, event("share-zip", run_id))["said"]
    assert "no run on this page" in sharing.give(PAGE, KEY, event("share-png"))["said"]
    assert sharing.give(PAGE, KEY, event("share-link", run_id)) is None  # the operator allows none
    assert sharing.give(PAGE, KEY, event("take-seed", run_id)) is None
    allowed = Sharing(runs, pipeline, links=True)
    assert allowed.give(PAGE, KEY, event("share-link", run_id))["link"].startswith(f"shared/{run_id}.")
    assert "not finished" in allowed.give(PAGE, KEY, event("share-link", going))["said"]
    assert "taken back" in allowed.give(PAGE, KEY, event("share-unlink", run_id))["said"]


def test_the_same_runs_are_one_file_however_often_they_are_taken(pipeline, monkeypatch):
    ids = [kept(pipeline, day) for day in (1, 2)]
    sharing = Sharing(past_of(pipeline)[0], pipeline, links=False)
    acts = (event("download", *ids), event("download", *ids, *ids), event("share-zip", ids[0]))
    first, twice, one = (sharing.give(PAGE, KEY, act)["file"] for act in acts)
    assert first == twice
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    again, still = (sharing.give(PAGE, KEY, act)["file"] for act in (acts[0], acts[2]))
    assert (again, still) == (first, one)


@pytest.mark.parametrize("data", [None, {}, {"act": "download"}, {"act": "share-zip"}, {"act": []}])
def test_an_event_that_says_nothing_is_a_sentence_at_most(pipeline, data):
    given = Sharing(past_of(pipeline)[0], pipeline, links=False).give(PAGE, KEY, gr.EventData(None, data))
    assert given is None or "does not say what" in given["said"]


def test_what_has_no_room_is_not_made(pipeline, monkeypatch):
    run_id = kept(pipeline, 1)
    monkeypatch.setattr(uploads, "MAX_HELD", 0)
    monkeypatch.setattr(uploads, "_dropped", lambda folder, wanted: 0)
    sharing = Sharing(past_of(pipeline)[0], pipeline, links=False)
    assert "no room for downloads" in sharing.give(PAGE, KEY, event("share-zip", run_id))["said"]


def test_a_shared_page_shows_its_run_and_no_markup_of_it(pipeline):
    run_id = kept(pipeline, 1, request=Request("<script>x</script> owl"))
    token = History(Path(pipeline.results)).share(run_id, owner_of(KEY))
    client = TestClient(Starlette(routes=shared.routes(Path(pipeline.results))))
    page = client.get(f"/shared/{token}")
    assert page.status_code == 200 and "<script" not in page.text and "owl" in page.text
    assert owner_of(KEY) not in page.text and page.headers["cache-control"] == "no-store"
    assert client.get(f"/shared/{token}/result.png").content.startswith(b"\x89PNG")
    assert client.get(f"/shared/{token}/run.json").status_code == 404
    refused = client.get(f"/shared/{run_id}.{'x' * 32}", headers={"accept-language": "zh"})
    assert refused.status_code == 404 and "此链接下没有内容" in refused.text
    assert client.post(f"/shared/{token}").status_code == 405
    (Path(pipeline.results) / run_id / "result.png").unlink()
    lost = client.get(f"/shared/{token}/result.png")
    assert lost.status_code == 404 and "nothing under this link" in lost.text


def test_a_shared_page_has_no_script_whatever_stands_before_it(pipeline):
    run_id = kept(pipeline, 1)
    token = History(Path(pipeline.results)).share(run_id, owner_of(KEY))
    routed = Starlette(routes=shared.routes(Path(pipeline.results)))
    client = TestClient(Guard(Streams(routed, gr.Blocks())))
    page, gone = client.get(f"/shared/{token}"), client.get("/shared/nothing")
    assert "<script" not in page.text and page.headers["content-security-policy"] == shared.POLICY
    assert gone.status_code == 404 and "nothing under this link" in gone.text and "<html" in gone.text


def test_a_run_that_was_shown_is_shown_again_unless_it_has_gone(pipeline):
    run_id = kept(pipeline, 1)
    runs, past = past_of(pipeline)
    *_, run = past._visited(PAGE, KEY, run_id)
    assert run is not None and run.id == run_id and runs.run_of(PAGE).id == run_id
    other: Any = SimpleNamespace(session_hash="other", query_params={})
    for key, before in ((KEY, "20260101-000000-aaaaaa"), (KEY, ""), ("x" * 48, run_id), (KEY, "../x")):
        *_, run = past._visited(other, key, before)
        assert run is None and runs.run_of(other) is None
    *_, run = past._visited(PAGE, KEY, run_id)  # the page has a run of its own by now
    assert run is None


def test_stop_says_that_a_caption_was_stopped_only_where_one_was(pipeline):
    captions = Captions(SimpleNamespace(), pipeline, {"pocket": "pocket"}, lambda request: None)
    assert captions.stop(PAGE) == gr.skip()
    page = SimpleNamespace(fresh=True, at_work=False, stop=SimpleNamespace(set=lambda: None))
    captions._pages["page"] = page
    assert "The caption was stopped." in captions.stop(PAGE)
    assert captions.stop(PAGE) == gr.skip()
    page.at_work = True
    assert "The caption was stopped." in captions.stop(PAGE)
