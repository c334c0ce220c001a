"""`app.py`: its flags, and the server they make: who may come in, and how it is."""

from __future__ import annotations

import argparse
import io
import json
import logging
import socket
import sys
from pathlib import Path

import httpx
import pytest

import app
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import RequestError
from imgrag.logs import JsonLines
from imgrag.ui import build_demo
from imgrag.ui.server import imports
from tests.fakes import Cast, make_pipeline
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
            "9" * 400 + " GB",
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


FLAGS = ("profile", "host", "port", "share", "library", "folders", "policy", "auth", "results_cap")
"""Those of commit 89afa24: people's scripts have them."""


@pytest.fixture
def taken():
    """A port that somebody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


class TestStart:
    def test_every_flag_of_before_is_still_there(self):
        assert set(FLAGS) <= vars(app.parse_flags([])).keys()

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--port", "TAKEN"], "The port TAKEN is taken; choose another with --port."),
            (["--port", "0"], "'0' is no port"),
            (["--port", "65536"], "'65536' is no port"),
            (["--port", "9" * 5000], "is no port; it is a number from 1 to 65535"),
            (["--port", "-1"], "port"),
            (["--host", "nowhere.invalid"], "There is no host 'nowhere.invalid'"),
            (["--host", "x" * 300], "There is no host"),
            (["--host", "192.0.2.1"], "'192.0.2.1' is no address of this machine"),
            (["--results-cap", "lots"], "'lots' is no size"),
            (["--results-cap", "9" * 400 + " GB"], "is no size"),
            (["--profile", "junk"], "There is no profile 'junk'"),
            (["--profile", "x" * 300 + ".toml"], "There is no profile"),
            (["--library", "x" * 300], "There is no library"),
            (["--folders", "/nowhere/at/all"], "There is no folder"),
            (["--folders", "/", "--host", "0.0.0.0"], "leave out --host"),
            (["--policy", "lazy"], "invalid choice: 'lazy'"),
            (["--auth"], "set IMGRAG_AUTH"),
            (["--nonsense"], "Unrecognized arguments: --nonsense. See"),
        ],
    )
    def test_what_it_cannot_do_is_one_sentence_and_exit_code_2(
        self, arguments, says, taken, monkeypatch, capsys, tmp_path
    ):
        monkeypatch.setattr(app, "ImageRAGPipeline", lambda profile, **_: in_tmp(profile, tmp_path))
        monkeypatch.delenv("IMGRAG_AUTH", raising=False)
        monkeypatch.setattr(sys, "argv", ["app.py", *(text.replace("TAKEN", taken) for text in arguments)])
        with pytest.raises(SystemExit) as ended:
            app.main()
        told = capsys.readouterr().err
        assert ended.value.code == 2 and told.count("\n") == 1
        assert says.replace("TAKEN", taken) in told

    def test_a_profile_of_the_environment_that_is_none_is_told_likewise(self, monkeypatch, capsys):
        monkeypatch.setenv("IMGRAG_PROFILE", "junk")
        monkeypatch.setattr(sys, "argv", ["app.py"])
        with pytest.raises(SystemExit) as ended:
            app.main()
        assert ended.value.code == 2 and "There is no profile 'junk'" in capsys.readouterr().err

    def test_results_that_cannot_be_written_are_told_before_the_page_is_up(
        self, monkeypatch, capsys, tmp_path
    ):
        (tmp_path / "results").write_text("a file")
        monkeypatch.setattr(app, "ImageRAGPipeline", lambda profile, **_: in_tmp(profile, tmp_path))
        monkeypatch.setattr(sys, "argv", ["app.py"])
        with pytest.raises(SystemExit) as ended:
            app.main()
        assert ended.value.code == 2 and "'results' for results cannot be written" in capsys.readouterr().err


def in_tmp(profile: str, folder: Path) -> ImageRAGPipeline:
    return ImageRAGPipeline(profile, results=folder / "results", cache=folder / "cache")


ENDPOINTS = {
    "/run": "prompt negative_prompt seed steps guidance_scale adapter_scale guided_share similarity_floor "
    "max_concepts weight_1 weight_2 weight_3 rounds library",
    "/libraries": "",
    "/batch": "prompts seed library",
    "/library_search": "library text image weight where k rerank explain",
    "/library_list": "",
}
"""Those of commit 89afa24 and their parameters: people's programs have them."""


def test_every_endpoint_of_before_is_still_there(tmp_path):
    named = build_demo(make_pipeline(tmp_path, Cast())).get_api_info()["named_endpoints"]
    for name, parameters in ENDPOINTS.items():
        there = [parameter["parameter_name"] for parameter in named[name]["parameters"]]
        assert there[: len(parameters.split())] == parameters.split()  # new ones come behind


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
            ("--root-path", "/..", "is no path"),
            ("--root-path", "/images/./x", "is no path"),
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


def has_ipv6() -> bool:
    """Whether this machine has the address ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
class TestIPv6:
    @pytest.mark.parametrize("host", ["::1", "[::1]", "::"])
    def test_the_page_is_served_there_and_to_itself_alone(self, tmp_path, host):
        app.check_address(host, None)
        with served_here(tmp_path, host, "[::1]") as page:
            own, near = f"http://[::1]:{page.base_url.port}", f"http://[::2]:{page.base_url.port}"
            assert page.get("/").is_success
            asked = [
                page.post(f"{API}/run/libraries", json={"data": []}, headers={"origin": origin})
                for origin in (own, near, "http://127.0.0.1", "http://evil.example")
            ]
            assert [answer.status_code for answer in asked] == [200, 403, 403, 403]
            names = ("evil.example", "[::2]", "::1", "localhost")
            served = [page.get("/", headers={"host": name}).status_code for name in names]
            assert served == [421, 200 if host == "::" else 421, 421, 200]

    def test_a_port_that_is_taken_there_is_told(self):
        with (
            socket.create_server(("::1", 0), family=socket.AF_INET6) as taken,
            pytest.raises(RequestError, match="is taken"),
        ):
            app.check_address("[::1]", taken.getsockname()[1])

    @pytest.mark.parametrize(("host", "here"), [("::1", True), ("[::1]", True), ("::", False)])
    def test_its_loopback_is_this_machine_only(self, host, here):
        assert app.only_here(app.parse_flags(["--host", host])) is here


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
        with pytest.raises(RequestError, match="set IMGRAG_AUTH to name:password") as ended:
            app.logins(text)
        assert "hidden" not in str(ended.value)

    def test_without_the_variable_the_server_does_not_start(self, monkeypatch):
        monkeypatch.delenv("IMGRAG_AUTH", raising=False)
        with pytest.raises(RequestError, match="--auth takes its users from the environment"):
            app.serve(app.parse_flags(["--auth"]))

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
