"""How much may be uploaded, and what is left of what was cut off."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from starlette.formparsers import MultiPartException

from imgrag.ui.server import uploads
from imgrag.ui.server.uploads import Uploads
from tests.ui.test_guard import API, served_here


async def body(size: int = 100) -> Any:
    return {"type": "http.request", "body": b"x" * size, "more_body": True}


def taken(held: Uploads, requests: int, pieces: int) -> int:
    """Pieces of 100 bytes that are let in before somebody is told that it is too much."""

    async def take() -> int:
        count = 0
        try:
            for _ in range(requests):
                receive = await held.bounded(body)
                for _ in range(pieces):
                    await receive()
                    count += 1
        except MultiPartException:
            pass
        return count

    return asyncio.run(take())


def test_a_request_is_bounded_and_all_of_them_together(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_REQUEST", 550)
    monkeypatch.setattr(uploads, "MAX_HELD", 1000)
    assert taken(Uploads(tmp_path), 1, 100) == 5
    assert taken(Uploads(tmp_path), 100, 3) == 10
    (tmp_path / "held").write_bytes(b"x" * 800)
    assert taken(Uploads(tmp_path), 100, 3) == 2


def test_the_disk_keeps_some_room(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "SPARE", 2**60)
    assert taken(Uploads(tmp_path), 1, 1) == 0


def test_where_there_is_no_room_files_that_nobody_uses_go_first(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_HELD", 1000)
    for number, age in enumerate((9000, 8000, 7000, 60)):
        file = tmp_path / str(number) / "x.png"
        file.parent.mkdir()
        file.write_bytes(b"x" * 300)
        os.utime(file, (time.time() - age,) * 2)
    assert taken(Uploads(tmp_path), 1, 4) == 4
    assert [file.parent.name for file in sorted(tmp_path.rglob("*.png"))] == ["2", "3"]


def test_what_is_cut_off_or_too_much_leaves_nothing(tmp_path, monkeypatch):
    with served_here(tmp_path) as page:
        before = set(Path(get_upload_folder()).glob("*"))
        head = f"POST {API}/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900000\r\n"
        head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        part = '--x\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\n'
        with socket.create_connection(("127.0.0.1", page.base_url.port)) as one:
            one.sendall((head + part).encode() + b"x" * 500_000)
            wait(lambda: set(Path(get_upload_folder()).glob("*")) > before)
        wait(lambda: set(Path(get_upload_folder()).glob("*")) == before)
        monkeypatch.setattr(uploads, "MAX_REQUEST", 100_000)
        answer = page.post(f"{API}/upload", files={"files": ("x.png", b"x" * 200_000)})
        assert answer.status_code == 400 and "fewer files at a time" in answer.text
        monkeypatch.setattr(uploads, "SPARE", 2**60)
        monkeypatch.setattr(uploads, "LOOK", 0)
        answer = page.post(f"{API}/upload", files={"files": ("x.png", b"x")})
        assert answer.status_code == 507 and "no room" in answer.json()["detail"]
        assert set(Path(get_upload_folder()).glob("*")) == before


def wait(what: Any) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)
