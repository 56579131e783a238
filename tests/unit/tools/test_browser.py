from __future__ import annotations

import pytest

from tools import browser

DESKTOP = {"DISPLAY": ":0"}


@pytest.mark.parametrize(
    ("environment", "platform"),
    [
        (DESKTOP, "linux"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux"),
        ({}, "darwin"),
        (DESKTOP | {"OPEN": "1"}, "linux"),
    ],
)
def test_a_person_at_a_display_gets_the_page(environment: dict[str, str], platform: str) -> None:
    assert browser.is_wanted(environment, platform, terminal=True)


@pytest.mark.parametrize(
    ("environment", "terminal"),
    [
        (DESKTOP, False),
        ({}, True),
        (DESKTOP | {"OPEN": "0"}, True),
        (DESKTOP | {"OPEN": "no"}, True),
        (DESKTOP | {"SSH_CONNECTION": "192.0.2.1 5 192.0.2.2 22"}, True),
    ],
)
def test_a_script_a_server_and_a_person_who_declines_do_not(environment: dict[str, str], terminal: bool) -> None:
    assert not browser.is_wanted(environment, "linux", terminal=terminal)
