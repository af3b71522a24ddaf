"""The docs' site in a browser: from a folder and from a server, wide and narrow, light and dark, and its search.

Where ``P2PFD_SITE_IMAGES`` names a directory, pictures of it are taken into it.
"""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_page import Watcher, browser  # noqa: F401 - a fixture
from tests.unit.docs.test_site import build

pytestmark = pytest.mark.long
PAGES = ("index.html", "tutorials/rewards.html", "reference/errors.html", "explanation/security.html")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that says nothing."""

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    build(folder)
    return folder


@pytest.fixture(params=["folder", "server"])
def base(request: pytest.FixtureRequest, site: Path) -> Iterator[str]:
    """Where the site begins."""
    if request.param == "folder":
        yield site.as_uri()
        return
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")])
def test_pages_are_whole_at_every_width_and_complain_of_nothing(
    base: str,
    browser: Any,  # noqa: F811
    width: int,
    scheme: str,
) -> None:
    kind = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    for place in PAGES:
        watcher = Watcher(browser, f"{base}/{place}", **kind)
        asked: list[str] = []
        watcher.page.on("request", lambda request, into=asked: into.append(request.url))
        watcher.page.reload()
        assert [url for url in asked if not url.startswith((base, "data:"))] == []
        assert watcher.page.evaluate("document.documentElement.scrollWidth") <= width
        dark = watcher.page.locator("body").get_attribute("data-md-color-scheme") == "slate"
        assert dark == (scheme == "dark")
        assert watcher.complaints == []
        if folder := os.environ.get("P2PFD_SITE_IMAGES"):
            name = f"{Path(place).stem}-{width}-{scheme}.png"
            watcher.page.screenshot(path=str(Path(folder) / name))
        watcher.context.close()


@pytest.mark.parametrize(
    "typed",
    [
        "there is no mesh in .localnet/default",
        "is damaged: its parts were changed after it was written",
        "the chain refused: market: too late",
    ],
    ids=["mesh", "keys", "chain"],
)
def test_an_error_that_is_typed_into_the_search_is_found(
    base: str,
    browser: Any,  # noqa: F811
    typed: str,
) -> None:
    watcher = Watcher(browser, f"{base}/index.html")
    watcher.page.keyboard.press("/")
    # Before the index is read it says so; what is typed by then is searched for at the next key only.
    watcher.page.locator(".md-search-result__meta", has_text="Type to start searching").wait_for()
    watcher.page.keyboard.type(typed)
    found = watcher.page.locator(".md-search-result__item")
    found.first.wait_for()
    targets = found.evaluate_all("items => items.slice(0, 6).map(item => item.querySelector('a').href)")
    assert any("reference/errors.html" in target for target in targets), targets
    assert watcher.complaints == []
    watcher.context.close()
