"""What is kept of visitors: little while they are here, nothing of those who have gone.

Gradio keeps of ten thousand sessions a description of every component each, for links to a page's state
that this page does not offer; messages that nobody fetched; and a line of each event. Whoever makes up
sessions fills the memory with it. The rest of what it does stays its own. Read in gradio 6.31's
state_holder.py, queueing.py and routes.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio import routes
from gradio.state_holder import SessionState, StateHolder

SESSIONS = 500  # whose changed components are remembered; of the others a page sees what it was built with
FETCHED_SECONDS = 120  # for messages of an event that is over
EVENTS = 100  # of which Gradio makes its figures, anew at the end of each one
TOKENS = 1000  # logins
LIMITS = ("choices", "maximum")  # attributes that say which values of a component are taken


class Session(SessionState):
    """What one page has changed of its components: only what Gradio checks its inputs against.

    Another component that was changed is there to be read until the next one is, which is as long as
    Gradio needs it to tell the page. None is described.
    """

    def __init__(self, blocks: gr.Blocks) -> None:
        super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks=()))
        self._passing: dict[int, Any] = {}

    def __getitem__(self, key: int) -> Any:
        return self._passing[key] if key in self._passing else super().__getitem__(key)

    def __setitem__(self, key: int, value: Any) -> None:
        known = self.blocks_config.blocks.get(key)
        if isinstance(known, gr.State) or any(hasattr(value, limit) for limit in LIMITS):
            super().__setitem__(key, value)
            self.config_values.clear()
        else:
            self._passing = {key: value}

    def _update_config(self, key: int) -> None:
        """Describe nothing."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Describe nothing."""


class Visitors(StateHolder):
    """The sessions of a page; whoever was not seen for longest is forgotten first."""

    def __init__(self, blocks: gr.Blocks) -> None:
        super().__init__()
        self.set_blocks(blocks)
        self.capacity = SESSIONS

    def __getitem__(self, session_id: str) -> Session:
        if session_id not in self.session_data:
            self.session_data[session_id] = Session(self.blocks)
        found: Session = super().__getitem__(session_id)
        return found


@asynccontextmanager
async def remembered(app: routes.App) -> AsyncIterator[None]:
    """Let the application remember its visitors like this while it is served."""
    app.state_holder = Visitors(app.get_blocks())
    app.get_blocks()._queue.ANALYTICS_MAX_EVENTS = EVENTS
    forgetting = asyncio.create_task(_forget_regularly(app))
    try:
        yield
    finally:
        forgetting.cancel()


async def _forget_regularly(app: routes.App) -> None:
    over: set[str] = set()
    while True:
        await asyncio.sleep(FETCHED_SECONDS)
        over = forget(app, over)


def forget(app: routes.App, over: set[str]) -> set[str]:
    """Drop what is left of sessions that had nothing under way at the last look either.

    Returns:
        The sessions that have nothing under way now, for the next look.
    """
    queue = app.get_blocks()._queue
    for session in over & _over(queue):
        queue.pending_messages_per_session.pop(session, None)
        queue.pending_event_ids_session.pop(session, None)
    for token in list(app.tokens)[:-TOKENS]:
        del app.tokens[token]
    _forget_uploads(routes.file_upload_statuses)
    return _over(queue)


def _over(queue: Any) -> set[str]:
    """The sessions of which no event waits or is at work."""
    busy = {event.session_hash for event in queue.event_ids_to_events.values()}
    return {*queue.pending_messages_per_session, *queue.pending_event_ids_session} - busy


def _forget_uploads(progress: Any) -> None:
    """Drop how far uploads have come that are over, and names of uploads that somebody only asked about."""
    for name, status in list(progress._statuses.items()):
        if status.is_done:
            progress.stop_tracking(name)
    for name in progress._signals.keys() - progress._statuses.keys():
        del progress._signals[name]
