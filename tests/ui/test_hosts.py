"""Which names the page is served under, by what it was told and by what it listens on."""

from __future__ import annotations

import socket

import pytest

from imgrag.ui.server.hosts import Hosts, plain, read_hosts, served


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:7860", "127.0.0.1:7860", "127.0.0.9", "[::1]:7860", "LOCALHOST.:80"]
)
def test_this_machine_is_always_served(host):
    for hosts in (Hosts(), Hosts(listening="0.0.0.0"), Hosts(frozenset({"images.example.org"}))):
        assert hosts.serves(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.nip.example",
        "a b",
        "a/b",
        "x:y",
        "[::1",
        "::1:",
    ],
)
def test_nobody_elses_name_is(host):
    for hosts in (Hosts(), Hosts(listening="0.0.0.0"), Hosts(frozenset({"images.example.org"}))):
        assert not hosts.serves(host)


def test_on_every_address_it_is_served_by_address_and_by_the_machines_own_name():
    everywhere, here, one = Hosts(listening="0.0.0.0"), Hosts(), Hosts(listening="192.0.2.7")
    for host in ("192.0.2.7:7860", "[2001:db8::1]:7860", socket.gethostname()):
        assert everywhere.serves(host) and not here.serves(host)
    assert one.serves("192.0.2.7") and not one.serves("192.0.2.8")


def test_what_people_were_told_is_served_with_its_port_if_it_has_one():
    hosts = Hosts(read_hosts("images.example.org, Other.Example.org.:8443,"))
    assert all(map(hosts.serves, ("images.example.org", "images.example.org:9000", "other.example.org:8443")))
    assert not any(map(hosts.serves, ("other.example.org", "www.images.example.org", "example.org")))


def test_the_tunnel_is_known_once_there_is_one():
    address = [""]
    hosts = Hosts(shared=lambda: address[0])
    assert not hosts.serves("abc.gradio.live") and not hosts.owns(
        "https://abc.gradio.live", ["127.0.0.1:7860"]
    )
    address[0] = "https://abc.gradio.live"
    assert hosts.serves("abc.gradio.live") and hosts.owns("https://abc.gradio.live", ["127.0.0.1:7860"])
    assert not hosts.owns("https://other.gradio.live", ["abc.gradio.live"])


def test_a_space_says_who_it_is(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "ann/images")
    monkeypatch.setenv("SPACE_HOST", "ann-images.hf.space")
    hosts = served(frozenset(), None, lambda: None)
    assert hosts.serves("ann-images.hf.space") and hosts.serves("a-domain-of-its-own.example")
    assert hosts.owns("https://ann-images.hf.space", ["10.0.0.7:7860"])


def test_names_beyond_ascii_are_compared_as_browsers_send_them():
    assert read_hosts("bücher.example") == {"xn--bcher-kva.example"} == {plain("XN--bcher-kva.example:443")}


@pytest.mark.parametrize(
    "text", ["https://images.example.org", "a b", "images.example.org/x", "*", "a:b", "ü" * 70]
)
def test_what_is_no_host_is_named(text):
    with pytest.raises(ValueError, match="is no host"):
        read_hosts(f"images.example.org,{text}")
