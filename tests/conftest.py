"""What a browser test that fails leaves behind: the addresses and the visible texts of its pages."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest


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
