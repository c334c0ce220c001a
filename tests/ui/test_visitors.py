"""What the page remembers of its visitors, and what it forgets."""

from __future__ import annotations

from types import SimpleNamespace

import gradio as gr
import pytest

from imgrag.bench.fire.visitor import Visitor
from imgrag.ui.create.board import Board
from imgrag.ui.server import sessions, visitors
from imgrag.ui.server.sessions import Sessions
from imgrag.ui.server.visitors import Visitors, forget, remembered
from tests.ui.test_guard import API, served_here


@pytest.fixture
def blocks() -> gr.Blocks:
    with gr.Blocks() as page:
        gr.Dropdown(["a"], value="a")
        gr.HTML("x")
        gr.State([1])
        gr.Number(1, maximum=5)
        gr.Button("Remove")
    return page


def test_a_session_keeps_what_inputs_are_checked_against_and_describes_nothing(blocks):
    kinds = (gr.Dropdown, gr.HTML, gr.State, gr.Number, gr.Button)
    dropdown, html, state, number, remove = (
        next(b for b in blocks.blocks.values() if type(b) is kind) for kind in kinds
    )
    one, other = Visitors(blocks)["one"], Visitors(blocks)["other"]
    one[dropdown._id] = gr.Dropdown(["a", "b"], render=False)
    one[html._id] = much = gr.HTML("much", render=False)
    assert one[html._id] is much  # Gradio tells the page what is new by it
    one[html._id] = gr.HTML("more", render=False)
    one[number._id] = gr.Number(1, maximum=9, render=False)
    one[state._id] = [2]
    one._update_config(html._id)
    one._update_value_in_config(html._id, "x" * 10_000)
    assert one[dropdown._id].choices == [("a", "a"), ("b", "b")] and one[number._id].maximum == 9
    one[remove._id] = gr.Button("Remove 1 picture", render=False)
    assert one[html._id] is html and one[state._id] == [2]
    assert other[dropdown._id].choices == [("a", "a")] and other[state._id] == [1]
    assert one.config_values == {} == other.config_values


def test_who_was_not_seen_for_longest_is_forgotten_first(blocks, monkeypatch):
    monkeypatch.setattr(visitors, "SESSIONS", 3)
    known = Visitors(blocks)
    for name in "abcad":
        known[name]
    assert list(known.session_data) == ["c", "a", "d"] and set(known.time_last_used) == {"c", "a", "d"}


def test_what_nobody_fetched_is_dropped_at_the_second_look():
    queue = SimpleNamespace(
        pending_messages_per_session={"gone": 1, "waits": 2}, pending_event_ids_session={"gone": set(), "old": {"e"}},
        event_ids_to_events={"x": SimpleNamespace(session_hash="waits")},
    )  # fmt: skip
    app = SimpleNamespace(
        get_blocks=lambda: SimpleNamespace(_queue=queue), tokens={str(n): "ann" for n in range(1200)}
    )
    over = forget(app, set())
    assert over == {"gone", "old"} and len(queue.pending_messages_per_session) == 2
    forget(app, over)
    assert list(queue.pending_messages_per_session) == ["waits"] and queue.pending_event_ids_session == {}
    assert list(app.tokens) == [str(n) for n in range(200, 1200)]


def test_the_page_remembers_visitors_like_this_and_works_as_before(tmp_path, monkeypatch):
    import gradio.routes

    served = []
    monkeypatch.setattr("imgrag.ui.demo.remembered", lambda app: served.append(app) or remembered(app))
    with served_here(tmp_path) as page:
        url = str(page.base_url).rstrip("/")
        with Visitor(url) as visitor:
            assert 'data-phase="finished"' in str(visitor.run("a dog and a toolbox quick", 1).data)
            visitor.upload(b"x", "x.txt")
            page.post(f"{API}/upload", params={"upload_id": "u"}, files={"files": ("x.txt", b"x")})
        page.get(f"{API}/upload_progress", params={"upload_id": "nobody's"})
        [app] = served
        assert isinstance(app.state_holder, Visitors) and visitor.session in app.state_holder
        assert "u" in gradio.routes.file_upload_statuses._statuses
        forget(app, forget(app, set()))
        assert visitor.session not in app.get_blocks()._queue.pending_messages_per_session
        assert not gradio.routes.file_upload_statuses._statuses
        assert "nobody's" not in gradio.routes.file_upload_statuses._signals


def test_of_runs_that_are_over_only_the_last_ones_stay_at_hand():
    known = Sessions()
    going = known.open("going", Board())
    for number in range(sessions.RESTING + 5):
        known.open(str(number), Board()).ended.set()
    known.open("next", Board())
    assert len(known) == sessions.RESTING + 2
    assert known.get("0") is None and known.get("going") is going and not going.stop.is_set()
