"""Whose history a run is in: each browser holds a key of its own, the server only that key's hash."""

from __future__ import annotations

import hashlib

import gradio as gr


def browser_key() -> gr.BrowserState:
    """The component that keeps the key in the browser.

    Gradio encrypts what it stores there with a secret; one that changed at each start would lose the
    key, and what it protects is in the same browser anyway.
    """
    return gr.BrowserState("", storage_key="imgrag-key", secret="imgrag")


KEPT_OR_NEW = """(key) => typeof key === "string" && key.length >= 32 ? key
    : Array.from(crypto.getRandomValues(new Uint8Array(24)), (byte) => byte.toString(16).padStart(2, "0")).join("")"""
"""The browser's key, or a new one for a browser that has none. JavaScript: a key that came from the
server would come late, and a run begun before it would be in nobody's history."""

LEFT = """() => {
    const kept = (name) => sessionStorage.getItem(`imgrag-${name}`), left = JSON.parse(kept("left") ?? "null");
    const named = new URLSearchParams(location.search).has("run");
    const reloaded = performance.getEntriesByType("navigation")[0]?.type === "reload";
    return left ?? (kept("shown") && (reloaded || !named) ? { shown: kept("shown") } : null);
}"""
"""What was at work on the page when it was reloaded or cut off, else which run it showed, as page.js keeps both. Of
somebody who follows a link to a run, the link counts."""

ARRIVAL = f"""(key) => [({KEPT_OR_NEW})(key), ({LEFT})(), window.imgragDraft ?? null]"""
"""The key, that, and what was typed."""


def owner_of(key: str | None) -> str:
    """What stands in a record: it tells runs of one browser from others' and opens nothing. "" without a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:32] if isinstance(key, str) and key else ""
