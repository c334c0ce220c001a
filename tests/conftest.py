"""What holds for all tests: how they share the processor, and what a browser test that fails leaves behind.

That is the addresses and the visible texts of its pages.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads that wait in circles would take the other's core


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.failed:
        for page in _pages(getattr(item, "funcargs", {})):
            report.sections.append((f"Page {page.url}", _text(page)))
    return report


def _pages(fixtures: dict[str, Any]) -> Iterator[Any]:
    """The open pages of the browser in a test's fixtures."""
    for context in getattr(fixtures.get("browser"), "contexts", ()):
        yield from context.pages


def _text(page: Any) -> str:
    try:
        return str(page.inner_text("body", timeout=2_000))
    except Exception as error:  # noqa: BLE001  a page that crashed must not hide why its test failed
        return f"(cannot be read: {error})"
