"""`app.py`: its flags, and the server they make: who may come in, and how it is."""

from __future__ import annotations

import argparse
import io
import json
import logging
import sys

import httpx
import pytest

import app
from imgrag.logs import JsonLines
from imgrag.ui.server import imports
from tests.ui.test_guard import API, served_here


class TestSizes:
    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("2 GB", 2 * 2**30),
            ("500 MB", 500 * 2**20),
            ("500MB", 500 * 2**20),
            (" 1.5gb ", 3 * 2**29),
            ("64 kb", 64 * 2**10),
            ("1 TB", 2**40),
            ("none", None),
            ("None", None),
        ],
    )
    def test_a_size_is_bytes(self, text, size):
        assert app.parse_size(text) == size

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "2",
            "GB",
            "0 GB",
            "-1 GB",
            "1,5 GB",
            "2 GBs",
            "two GB",
            "1e3 MB",
            "nan GB",
            "٢ GB",
            "0.0001 KB",
        ],
    )
    def test_anything_else_is_told_what_to_write(self, text):
        with pytest.raises(argparse.ArgumentTypeError, match="is no size; write one such as"):
            app.parse_size(text)

    def test_the_cap_has_a_default_and_can_be_lifted(self):
        assert app.parse_flags([]).results_cap == 2 * 2**30
        assert app.parse_flags(["--results-cap", "10 MB"]).results_cap == 10 * 2**20
        assert app.parse_flags(["--results-cap", "none"]).results_cap is None

    def test_a_wrong_one_ends_in_a_sentence(self, capsys):
        with pytest.raises(SystemExit) as ended:
            app.parse_flags(["--results-cap", "lots"])
        assert ended.value.code != 0
        assert "'lots' is no size" in capsys.readouterr().err


class TestPlaces:
    """Where the page is served: `--allowed-hosts` and `--root-path`."""

    def test_hosts_come_from_the_flag_or_the_environment(self, monkeypatch):
        assert app.parse_flags([]).allowed_hosts == frozenset()
        flags = app.parse_flags(["--allowed-hosts", "images.example.org, b.example:8443"])
        assert flags.allowed_hosts == {"images.example.org", "b.example:8443"}
        monkeypatch.setenv("IMGRAG_ALLOWED_HOSTS", "images.example.org")
        assert app.parse_flags([]).allowed_hosts == {"images.example.org"}

    @pytest.mark.parametrize(("text", "path"), [("/images", "/images"), ("/a/b.c/", "/a/b.c")])
    def test_a_path_is_taken_without_its_last_slash(self, text, path):
        assert app.parse_flags(["--root-path", text]).root_path == path

    @pytest.mark.parametrize(
        ("flag", "text", "sentence"),
        [
            ("--allowed-hosts", "https://images.example.org", "is no host; write it as images.example.org"),
            ("--allowed-hosts", "*", "'*' is no host"),
            ("--root-path", "images", "'images' is no path; write it as /images"),
            ("--root-path", "/", "is no path"),
            ("--root-path", "https://images.example.org/x", "is no path"),
            ("--root-path", "/a b", "is no path"),
        ],
    )
    def test_a_wrong_one_ends_in_a_sentence(self, capsys, flag, text, sentence):
        with pytest.raises(SystemExit) as ended:
            app.parse_flags([flag, text])
        assert ended.value.code == 2
        assert sentence in capsys.readouterr().err

    def test_a_wrong_variable_does_too(self, capsys, monkeypatch):
        monkeypatch.setenv("IMGRAG_ALLOWED_HOSTS", "a b")
        with pytest.raises(SystemExit) as ended:
            app.parse_flags([])
        assert (ended.value.code, "'a b' is no host" in capsys.readouterr().err) == (2, True)

    def test_a_page_that_a_proxy_serves_is_not_for_this_machine_only(self):
        assert app.only_here(app.parse_flags([]))
        assert not app.only_here(app.parse_flags(["--allowed-hosts", "images.example.org"]))


class TestLogins:
    @pytest.mark.parametrize(
        ("text", "pairs"),
        [
            ("ann:secret", [("ann", "secret")]),
            ("ann:secret,bob:word", [("ann", "secret"), ("bob", "word")]),
            ("ann:a:b", [("ann", "a:b")]),
            ("ann: spaces kept ", [("ann", " spaces kept ")]),
            ("ann:x, bob:y", [("ann", "x"), ("bob", "y")]),
        ],
    )
    def test_names_and_passwords_are_read(self, text, pairs):
        assert app.logins(text) == pairs

    @pytest.mark.parametrize(
        "text",
        [
            None,
            "",
            "ann",
            "ann:",
            ":hidden",
            "ann:hidden,",
            "ann:hidden,bob",
            "ann:hidden,ann:other",
            ",",
            "  :hidden",
        ],
    )
    def test_what_cannot_be_read_is_one_sentence_without_a_password(self, text):
        with pytest.raises(SystemExit, match="set IMGRAG_AUTH to name:password") as ended:
            app.logins(text)
        assert "hidden" not in str(ended.value)

    def test_without_the_variable_the_server_does_not_start(self, monkeypatch):
        monkeypatch.delenv("IMGRAG_AUTH", raising=False)
        monkeypatch.setattr(sys, "argv", ["app.py", "--auth"])
        with pytest.raises(SystemExit, match="--auth takes its users from the environment"):
            app.main()

    def test_only_who_is_known_comes_in_and_health_stays_open(self, tmp_path):
        with served_here(tmp_path, auth=app.logins("ann:secret")) as page:
            assert page.get("/healthz").json() == {"live": True, "ready": True}
            assert page.get("/healthz/ready").status_code == 200
            assert '"auth_required":true' in page.get("/").text.replace(" ", "")
            asked = [page.get("/config"), page.get(f"{API}/info"), page.get(f"{API}/file=x")]
            asked += [
                page.post(f"{API}/{path}", json={"data": []})
                for path in ("queue/join", "run/run", "call/run")
            ]
            assert {answer.status_code for answer in asked} <= {401, 404}
            assert page.post("/login", data={"username": "ann", "password": "wrong"}).status_code == 400
            assert page.get("/config").status_code == 401
            assert page.post("/login", data={"username": "ann", "password": "secret"}).is_success
            assert page.get("/config").json()["username"] == "ann"
            assert page.get(f"{API}/mcp/schema").status_code == 404  # it would ask nobody to log in

    def test_the_login_form_may_come_in_pieces_as_the_page_sends_it(self, tmp_path):
        with served_here(tmp_path, auth=[("ann", "secret")]) as page:
            form = {"username": (None, "ann"), "password": (None, "secret")}
            assert page.post("/login", files=form).is_success


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with served_here(tmp_path_factory.mktemp("page")) as client:
        yield client


def health(page: httpx.Client) -> tuple[int, bool, int, bool]:
    live, ready = page.get("/healthz"), page.get("/healthz/ready")
    assert live.json()["live"] is True
    return live.status_code, live.json()["ready"], ready.status_code, ready.json()["ready"]


class TestHealth:
    def test_ready_is_told_from_live(self, page, monkeypatch):
        assert health(page) == (200, True, 200, True)
        imports.announce()
        assert health(page) == (200, False, 503, False)
        for name in ("diffusers", "transformers"):
            monkeypatch.setitem(sys.modules, name, None)  # an import of it fails at once
        monkeypatch.setattr(imports, "_failed", type(imports._failed)())
        imports._import()
        assert imports._under_way.locked() is False
        assert health(page) == (200, False, 503, False)

    def test_imports_that_fail_leave_a_line_and_let_runs_go(self, monkeypatch):
        written = io.StringIO()
        handler = logging.StreamHandler(written)
        handler.setFormatter(JsonLines())
        monkeypatch.setattr(imports, "_failed", type(imports._failed)())
        monkeypatch.setitem(sys.modules, "diffusers", None)
        imports.log.addHandler(handler)
        try:
            imports.announce()
            imports._import()
        finally:
            imports.log.removeHandler(handler)
        line = json.loads(written.getvalue())
        assert (line["event"], line["level"]) == ("imports_failed", "error")
        assert "diffusers" in line["trace"]
        imports.wait()

    def test_it_names_nothing(self, page):
        for path in ("/healthz", "/healthz/ready"):
            assert set(page.get(path).json()) <= {"live", "ready"}
