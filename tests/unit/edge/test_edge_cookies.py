"""Cookies prove an address, for a while, and only that address."""

from adapters.edge.cookies import Cookies
from kernel.clock import ManualClock


def test_a_cookie_is_good_for_its_own_address_only() -> None:
    cookies = Cookies(clock=ManualClock())
    cookie = cookies.cookie_for("192.0.2.1", 5684)
    assert len(cookie) == 32
    assert cookies.accepts(cookie, "192.0.2.1", 5684)
    assert not cookies.accepts(cookie, "192.0.2.1", 5685)
    assert not cookies.accepts(cookie, "192.0.2.2", 5684)
    assert not cookies.accepts(cookie[:-1], "192.0.2.1", 5684)
    assert not cookies.accepts(b"", "192.0.2.1", 5684)


def test_host_and_port_cannot_be_confused() -> None:
    cookies = Cookies(clock=ManualClock())
    assert cookies.cookie_for("192.0.2.1", 15684) != cookies.cookie_for("192.0.2.11", 5684)


def test_a_cookie_outlives_one_rotation_and_not_two() -> None:
    clock = ManualClock()
    cookies = Cookies(clock=clock)
    cookie = cookies.cookie_for("192.0.2.1", 1)
    clock.advance(60)
    assert cookies.accepts(cookie, "192.0.2.1", 1)
    assert cookies.cookie_for("192.0.2.1", 1) != cookie
    clock.advance(60)
    assert not cookies.accepts(cookie, "192.0.2.1", 1)


def test_a_cookie_does_not_survive_a_long_silence() -> None:
    clock = ManualClock()
    cookies = Cookies(clock=clock)
    cookie = cookies.cookie_for("192.0.2.1", 1)
    clock.advance(3600)
    assert not cookies.accepts(cookie, "192.0.2.1", 1)


def test_two_processes_do_not_share_secrets() -> None:
    clock = ManualClock()
    assert not Cookies(clock=clock).accepts(Cookies(clock=clock).cookie_for("192.0.2.1", 1), "192.0.2.1", 1)
