"""Whose history a run is in: each browser holds a key of its own, the server only that key's hash."""

from __future__ import annotations

import hashlib
import secrets

import gradio as gr


def browser_key() -> gr.BrowserState:
    """The component that keeps the key in the browser.

    Gradio encrypts what it stores there with a secret; one that changed at each start would lose the
    key, and what it protects is in the same browser anyway.
    """
    return gr.BrowserState("", storage_key="imgrag-key", secret="imgrag")


def kept_or_new(key: str | None) -> str:
    """The browser's key, or a new one for a browser that has none."""
    return key if isinstance(key, str) and len(key) >= 32 else secrets.token_urlsafe(32)


def owner_of(key: str | None) -> str:
    """What stands in a record: it tells runs of one browser from others' and opens nothing. "" without a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:32] if isinstance(key, str) and key else ""
