"""Takes pictures of web pages with a Chromium of this machine.

It runs in the environment `browser`, without the rest of the project, and reads what `tools.screenshots.shots` writes.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Final

from playwright.sync_api import Browser, sync_playwright

_FLAGS: Final = ("--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync")
"""Only the pages are loaded."""

_TIMEOUT: Final = 180_000
"""Milliseconds that a page may take on a machine that also runs the stack."""


def main() -> None:
    """Take the pictures that standard input describes as JSON."""
    request = json.load(sys.stdin)
    # Chromium's sandbox does not work for root.
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=request["browser"], args=[*_FLAGS, *sandbox], timeout=_TIMEOUT
        )
        for shot in request["shots"]:
            take(browser, shot, request["storage"])
        browser.close()


def take(browser: Browser, shot: dict[str, Any], storage: dict[str, str]) -> None:
    """Take one picture: when a part of the page is visible, and some seconds later."""
    page = browser.new_page(viewport={"width": shot["width"], "height": shot["height"]}, device_scale_factor=1.5)
    page.set_default_timeout(_TIMEOUT)
    page.add_init_script(f"Object.assign(window.localStorage, {json.dumps(storage)})")
    page.goto(shot["url"], wait_until="domcontentloaded")
    if shot["click"]:
        page.locator(f"{shot['click']} >> visible=true").first.click()
    page.locator(f"{shot['shows']} >> visible=true").first.wait_for()
    page.wait_for_timeout(1000 * shot["seconds"])
    subject = page.locator(shot["element"]) if shot["element"] else page
    subject.screenshot(path=shot["path"])
    page.close()


if __name__ == "__main__":
    main()
