"""Who is running what: one stop event and the last board for each open page.

They stand here and not in `gr.State`, which is copied: a copied event would stop nothing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from imgrag.ui.create.board import Board

RESTING = 32  # pages whose run is over and stays at hand, with its pictures; older ones are in the history


@dataclass
class Session:
    """One page's run. `board` is what the page shows by now, `ended` is set when nothing of it runs."""

    board: Board
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class Sessions:
    """Sessions by Gradio's session hash. A page has one run at a time."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, key: str, board: Board) -> Session:
        """A new session for this page; a run that may still be going for it is stopped."""
        self.close(key)
        session = self._sessions[key] = Session(board)
        resting = [key for key, one in self._sessions.items() if one.ended.is_set()]  # oldest first
        for key in resting[:-RESTING]:
            self.close(key)
        return session

    def get(self, key: str) -> Session | None:
        """The page's run, going or not."""
        return self._sessions.get(key)

    def stop(self, key: str) -> Session | None:
        """Stop the page's run, if it has one that is going."""
        session = self._sessions.get(key)
        if session is None or session.board.phase != "running":
            return None
        session.stop.set()
        return session

    def close(self, key: str) -> None:
        """Stop and forget it."""
        session = self._sessions.pop(key, None)
        if session is not None:
            session.stop.set()
