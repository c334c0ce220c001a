"""The door alone, before a short app; and before the real page: as its own, behind a proxy, on a Space."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from imgrag.ui.demo import PRIVATE, PROXIES
from imgrag.ui.server.door import Door
from imgrag.ui.server.hosts import Hosts
from imgrag.ui.server.logins import FREE
from tests.ui.test_guard import API, served_here

PAGE = Hosts(frozenset({"images.example.org"}))
OURS = "http://127.0.0.1:7860"
NAVIGATES = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


class Gradio:
    """Answers like Gradio's routes and its own middleware: open to every origin, with its two cookies."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {
            "access-control-allow-origin": "https://evil.example",
            "access-control-allow-credentials": "true",
        }
        answer = JSONResponse({}, 400 if "wrong" in scope["query_string"].decode() else 200, headers)
        answer.set_cookie("access-token-x", "t", httponly=True, samesite="none", secure=True)
        answer.set_cookie("access-token-unsecure-x", "t")
        await answer(scope, receive, send)


def through(hosts: Hosts = PAGE, auth: Any = None, framed: bool = False, **settings: Any) -> TestClient:
    known = SimpleNamespace(auth=auth, cookie_id="x", tokens={"right": "ann"})
    door = Door(Gradio(), known, hosts, framed, 100)
    return TestClient(door, base_url=OURS, **settings)


class TestOrigins:
    @pytest.mark.parametrize(
        "headers",
        [
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": ""},
            {"origin": "http://127.0.0.1:3000"},
            {"origin": "http://localhost:7860"},
            {"origin": "https://evil.images.example.org"},
            {"origin": "https://images.example.org:8443"},
            {"origin": "file://"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        ],
    )
    def test_another_page_gets_nothing_but_health(self, headers):
        for path in ("/", "/config", f"{API}/upload", f"{API}/queue/data", "/login", "/logout"):
            for method in ("GET", "POST", "OPTIONS", "DELETE"):
                answer = through().request(method, path, headers=headers)
                assert answer.status_code == 403
                assert "no other page" in answer.json()["detail"]
        assert through().get("/healthz", headers=headers).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"origin": OURS},
            {"origin": OURS, "sec-fetch-site": "same-origin"},
            {"sec-fetch-site": "none"},
            {"host": "images.example.org", "origin": "https://images.example.org"},
            {"host": "images.example.org:443", "origin": "https://images.example.org"},
            {"host": "images.example.org:8443", "origin": "https://images.example.org:8443"},
            {"origin": "https://images.example.org"},  # a proxy that sends its own `Host`
        ],
    )
    def test_the_page_itself_and_programs_are_served(self, headers):
        for path in ("/", "/config", f"{API}/queue/join"):
            assert through().post(path, headers=headers).status_code == 200

    def test_a_link_to_the_page_may_be_followed_from_elsewhere_and_nothing_else(self):
        headers = {"sec-fetch-site": "cross-site", **NAVIGATES}
        assert through().get("/?run=x", headers=headers).status_code == 200
        assert through().post("/", headers=headers).status_code == 403
        for path in ("/logout", "/config", f"{API}/file=/x.png"):
            assert through().get(path, headers=headers).status_code == 403

    def test_no_answer_lets_another_page_read_it(self):
        answer = through().get("/healthz", headers={"origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.startswith("access-control")]

    @pytest.mark.parametrize("header", ["host", "x-forwarded-host"])
    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "a@127.0.0.1"]
    )
    def test_another_host_is_not_served(self, host, header):
        for origin in ({}, {"origin": f"http://{host}"}):
            answer = through().get("/config", headers={header: host, **origin})
            assert (answer.status_code, "--allowed-hosts" in answer.json()["detail"]) == (421, True)
        assert through().get("/healthz", headers={header: host}).status_code == 200

    def test_there_are_no_websockets(self):
        with pytest.raises(WebSocketDisconnect), through().websocket_connect(f"{API}/queue/join"):
            pass

    def test_an_address_may_be_long_but_not_endless(self):
        assert through().get("/x", params={"a": "b" * 8000}).status_code == 200
        assert through().get("/x", params={"a": "b" * 9000}).status_code == 414

    def test_one_address_has_a_bounded_number_of_requests_under_way(self):
        door = Door(Gradio(), SimpleNamespace(auth=None), PAGE, False, 0)
        assert TestClient(door, base_url=OURS).get("/").status_code == 503
        assert TestClient(door, base_url=OURS).get("/healthz").status_code == 200


class TestLogin:
    def test_the_cookie_stays_at_home(self):
        for url, secure in ((OURS, False), ("https://images.example.org", True)):
            for cookie in through().get(f"{url}/").headers.get_list("set-cookie"):
                assert "SameSite=Lax" in cookie and "HttpOnly" in cookie
                assert "none" not in cookie and ("Secure" in cookie) == secure

    def test_behind_a_proxy_with_tls_it_is_for_tls_only(self):
        answer = through().get("/", headers={"x-forwarded-proto": "https"})
        assert all("Secure" in cookie for cookie in answer.headers.get_list("set-cookie"))

    def test_in_a_frame_of_a_space_it_is_sent_and_the_page_may_be_shown(self):
        client = through(framed=True)
        embeds = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
        answer = client.get("/", headers=embeds)
        assert answer.status_code == 200
        assert "SameSite=none; Secure" in answer.headers.get_list("set-cookie")[0]
        assert client.get("/config", headers=embeds).status_code == 403

    @pytest.mark.parametrize(
        "path",
        [
            "/config", f"{API}/info", f"{API}/heartbeat/any", f"{API}/queue/data", f"{API}/cancel", f"{API}/reset",
            f"{API}/stream/x", f"{API}/upload_progress", f"{API}/component_server", f"{API}/mcp/", f"{API}/token",
            f"{API}/vibe-edit", "/monitoring", "/monitoring/key", "/anything", "/config/",
        ],
    )  # fmt: skip
    def test_nothing_answers_before_it(self, path):
        client = through(auth={"ann": "secret"})
        for method in ("GET", "POST"):
            assert client.request(method, path).status_code == 401
        cookies = {"cookie": "access-token-x=wrong"}
        assert client.get(path, headers=cookies).status_code == 401
        for name in ("access-token-x", "access-token-unsecure-x"):
            assert client.get(path, headers={"cookie": f"{name}=right"}).status_code == 200

    def test_but_what_it_takes_to_log_in(self):
        client = through(auth={"ann": "secret"})
        for path in ("/", "/healthz", "/assets/x.js", "/static/img/x.svg", "/theme.css", "/manifest.json"):
            assert client.get(path).status_code == 200
        assert client.post("/login").status_code == 200

    def test_wrong_guesses_have_to_wait_and_a_right_one_elsewhere_does_not(self):
        known = SimpleNamespace(auth={"ann": "secret"}, cookie_id="x", tokens={})
        door = Door(Gradio(), known, PAGE, False, 100)

        def login(address: str, query: str) -> httpx.Response:
            return TestClient(door, base_url=OURS, client=(address, 1)).post(f"/login?{query}")

        statuses = [login("192.0.2.1", "wrong").status_code for _ in range(FREE + 20)]
        assert statuses == [400] * FREE + [429] * 20
        refused = login("192.0.2.1", "right")
        assert refused.status_code == 429 and refused.headers["retry-after"] == "1"
        assert "again in 1 seconds" in refused.json()["detail"]
        assert login("192.0.2.2", "right").status_code == 200


class TestPage:
    """The real page, asked as a proxy, a tunnel and a Space's router ask."""

    def test_another_page_reads_and_makes_nothing(self, tmp_path):
        with served_here(tmp_path) as page:
            foreign = {"origin": "http://127.0.0.1:3000"}
            assert page.get("/config", headers=foreign).status_code == 403
            assert page.post(f"{API}/upload", files={"files": b"x"}, headers=foreign).status_code == 403
            asks = {**foreign, "access-control-request-method": "POST"}
            preflight = page.options(f"{API}/queue/join", headers=asks)
            assert preflight.status_code == 403 and "access-control-allow-origin" not in preflight.headers
            assert page.get("/config", headers={"host": "rebound.example"}).status_code == 421
            assert page.get(f"{API}/deep_link", params={"session_hash": "x"}).status_code == 404

    def test_behind_a_proxy_with_tls_and_a_path(self, tmp_path):
        named = frozenset({"images.example.org"})
        with served_here(tmp_path, hosts=named, root_path="/images", auth=[("ann", "secret")]) as page:
            page.headers.update({"host": "images.example.org", "x-forwarded-proto": "https"})
            own = {"origin": "https://images.example.org", "sec-fetch-site": "same-origin"}
            assert "https://images.example.org/images" in page.get("/").text
            answer = page.post("/login", data={"username": "ann", "password": "secret"}, headers=own)
            assert answer.is_success and answer.headers["set-cookie"].count("SameSite=Lax; Secure") == 2
            cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
            config = page.get("/config", headers=cookie).json()
            assert config["root"] == "https://images.example.org/images"
            assert page.post(f"{API}/run/libraries", json={"data": []}, headers={**own, **cookie}).is_success
            assert page.post(f"{API}/run/libraries", json={"data": []}, headers=own).status_code == 401

    @pytest.mark.parametrize("named", [None, "127.0.0.1"])
    def test_a_forwarded_address_counts_where_its_proxy_is_named(self, tmp_path, monkeypatch, named):
        monkeypatch.setenv(PROXIES, named or "")
        if named is None:
            monkeypatch.delenv(PROXIES)
        with served_here(tmp_path, auth=[("ann", "secret")]) as page:
            statuses = [
                page.post(
                    "/login",
                    data={"username": "ann", "password": "wrong"},
                    headers={"x-forwarded-for": f"192.0.2.{number}"},
                ).status_code
                for number in range(FREE + 3)
            ]
        assert statuses[:FREE] == [400] * FREE
        assert statuses[FREE:] == ([400] if named else [429]) * 3

    def test_on_a_space(self, tmp_path, monkeypatch):
        monkeypatch.setenv(PROXIES, "")
        monkeypatch.delenv(PROXIES)
        monkeypatch.setenv("SPACE_ID", "ann/images")
        monkeypatch.setenv("SPACE_HOST", "ann-images.hf.space")
        with served_here(tmp_path) as page:
            page.headers.update({"host": "ann-images.hf.space", "x-forwarded-proto": "https"})
            framed = page.get(
                "/", headers={"sec-fetch-site": "cross-site", **NAVIGATES, "sec-fetch-dest": "iframe"}
            )
            assert os.environ[PROXIES] == PRIVATE
            assert framed.is_success and "frame-ancestors" not in framed.headers["content-security-policy"]
            for origin, status in (("https://ann-images.hf.space", 200), ("https://huggingface.co", 403)):
                answer = page.post(f"{API}/run/libraries", json={"data": []}, headers={"origin": origin})
                assert answer.status_code == status
