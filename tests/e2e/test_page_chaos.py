"""The page of a mesh, opened by whoever may act on it: what is broken from there is broken, and is seen to be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from .test_page import Watcher, axe, browser, serious, take, url_of  # noqa: F401 - two of them are fixtures

SMALL = {"width": 400, "height": 2400}


def link_of(bench: Any) -> str:
    """The link with the token, of a mesh that is ready."""
    bench.wait_for(lambda: bench.mesh().get("status") == "running", 200)
    return str(json.loads(bench.localnet("link", "--json").stdout)["link"])


def test_nodes_are_killed_and_stopped_from_the_page_by_whoever_may(bench: Any, browser: Any) -> None:  # noqa: F811
    bench.start("fakes", "up", "--chain", "none", "-n", "3", "--rounds", "600", FAKE_ROUND_MS="200")
    link = link_of(bench)
    reader, actor = Watcher(browser, url_of(bench)), Watcher(browser, link)
    page = actor.page
    reader.wait_for("#chaos-text", "localnet link")
    assert reader.page.locator("#chaos button:visible:enabled").count() == 0
    assert "token" not in page.url, "it does not stay where it is shown"

    page.get_by_role("button", name="Kill node-1").click()
    dialog = page.get_by_role("dialog", name="Kill node-1?")
    dialog.get_by_role("button", name="leave it").click()
    dialog.wait_for(state="hidden")
    page.get_by_role("button", name="Kill node-1").focus()
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="kill it").focus()
    page.keyboard.press("Enter")
    actor.wait_for("#chaos-said", "killed node-1")
    for each in (actor, reader):
        each.wait_for("#nodes tr", "its process was ended by signal 9")
    assert not bench.wait_for(lambda: bench.events("node-1"))[-1]["event"].startswith("node.stopped")

    page.get_by_role("button", name="Pause node-2").press("Enter")
    actor.wait_for("#chaos-nodes li", "stands still")
    reader.wait_for("#nodes tr", "paused")
    page.get_by_role("button", name="Resume node-2").press("Enter")
    actor.wait_for("#chaos-said", "resumed node-2")
    page.get_by_role("button", name="Revive node-1").press("Enter")
    actor.wait_for("#chaos-said", "node-1 is back")
    page.get_by_role("button", name="Kill node-1").wait_for()
    page.reload()
    page.get_by_role("button", name="Pause node-2").press("Enter")
    actor.wait_for("#chaos-said", "paused node-2")
    assert reader.complaints == actor.complaints == []

    other = Watcher(browser, f"{url_of(bench)}#token=of-another-run")
    other.page.get_by_role("button", name="Pause node-0").press("Enter")
    other.wait_for("#chaos-said", "not this run's token")
    other.wait_for("#chaos-text", "the link of another run")
    assert other.page.locator("#chaos button:visible:enabled").count() == 0
    assert all("401" in complaint for complaint in other.complaints)


@pytest.mark.long
def test_a_real_mesh_is_cut_in_two_and_healed_from_the_page(
    bench: Any,
    browser: Any,  # noqa: F811
    axe: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    mesh = bench.start("localnet_command", "up", "-n", "6", "--rounds", "200")
    link = link_of(bench)
    actor, tested = Watcher(browser, link), Watcher(browser, link, bypass_csp=True)
    narrow = Watcher(browser, link, bypass_csp=True, viewport=SMALL, color_scheme="dark")
    page = actor.page
    actor.wait_for("#h-round", re.compile(r"Round [0-9]+ of 200"))
    page.get_by_role("button", name="cut in halves").press("Enter")
    actor.wait_for("#chaos-said", "partition node-0,node-1,node-2|rest")
    actor.wait_for("#chaos-nodes li", "side 2")
    left = {f"node-{number}" for number in range(3)}

    def parted() -> bool:
        links = page.evaluate("import('./store.js').then(({state}) => state.nodes)")
        return all(
            not (set(node["links"]) & (left if name not in left else set(links) - left)) for name, node in links.items()
        )

    bench.wait_for(parted)
    page.get_by_label("lose", exact=True).fill("10")
    page.get_by_role("button", name="of all").press("Enter")
    actor.wait_for("#chaos-nodes li", "loses 10.0 %")
    page.get_by_label("delay", exact=True).fill("100")
    page.get_by_role("button", name="all", exact=True).press("Enter")
    actor.wait_for("#chaos-nodes li", "100 ms late")
    page.get_by_role("button", name="Kill node-5").press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="kill it").press("Enter")
    actor.wait_for("#chaos-said", "killed node-5")
    page.locator("#chaos").scroll_into_view_if_needed()
    take(actor, "chaos", tmp_path)
    for each in (tested, narrow):
        each.wait_for("#chaos-nodes li", "side 2")
        assert serious(each, axe) == []
    assert narrow.page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]
    tested.page.get_by_role("button", name="Kill node-0").click()
    found = tested.page.evaluate("axe.run('#kill')")
    assert len(found["passes"]) > 5
    assert [issue["id"] for issue in found["violations"]] == []
    tested.page.keyboard.press("Escape")
    page.get_by_role("button", name="heal").press("Enter")
    actor.wait_for("#chaos-said", "heal")
    page.get_by_role("button", name="Revive node-5").press("Enter")
    actor.wait_for("#chaos-said", "node-5 is back")
    page.get_by_role("button", name="silence the chain").press("Enter")
    actor.wait_for("#chaos-said", "chain-down")
    page.get_by_role("button", name="let the chain answer").press("Enter")
    actor.wait_for("#chaos-said", "chain-up")
    mesh.terminate()
    actor.wait_for("#chaos-text", "nothing left to break")
    assert mesh.wait(60) == 130
    assert actor.complaints == []
