"""The live page in a real browser: what is seen of a mesh while it runs and after its end, by whom, and how fast.

Where ``P2PFD_IMAGES`` names a directory, the pictures of the docs are taken into it: docs/images has those of the last
release.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PATIENCE_MS = 150_000
SERIOUS = ("serious", "critical")
LARGEST_PICTURE = 300_000


@pytest.fixture
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make install-dev")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("there is no chromium on PATH")
    with api.sync_playwright() as play:
        # Root, and many a container, can have no sandbox; what is opened here is ours.
        made = play.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield made
        made.close()


class Watcher:
    """A page that is open, and all that its browser complained of."""

    def __init__(self, browser: Any, url: str, **kind: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1240, "height": 1180}, **kind})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type != "log" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def rows(self) -> Any:
        return self.page.locator("#nodes tbody tr")

    def wait_for(self, selector: str, text: str | re.Pattern[str]) -> None:
        self.page.locator(selector, has_text=text).first.wait_for()

    def finished(self) -> None:
        self.wait_for("#status-text", "✓ finished")


def url_of(bench: Any) -> str:
    """Where the page of the mesh is, as the mesh's state tells."""
    path = bench.state / "supervisor.json"
    return bench.wait_for(lambda: path.exists() and json.loads(path.read_text()).get("watch"), PATIENCE_MS / 1000)


def test_a_mesh_is_watched_from_its_first_round_to_its_end(bench: Any, browser: Any) -> None:
    words = ("up", "--chain", "none", "-n", "10", "--rounds", "6")
    seen = bench.home / "seen"
    mesh = bench.start("fakes", *words, FAKE_ROUND_MS="400", FAKE_FAULTS="node-7:die@3", FAKE_UNTIL=str(seen))
    watcher = Watcher(browser, url_of(bench))
    watcher.rows().nth(9).wait_for()
    assert watcher.rows().count() == 10
    watcher.wait_for("#h-round", re.compile(r"Round [1-6] of 6"))
    watcher.wait_for("#status-text", "live")
    watcher.wait_for("#phases li", "commit")
    assert watcher.page.locator("#graph .node").count() == 10
    watcher.page.locator("#graph .edge.heard").first.wait_for(state="attached")
    watcher.wait_for("#notice", "node-7 is lost: its process was ended by signal 9")
    assert watcher.page.locator("#accuracy polyline.mean").count() == 1
    seen.touch()
    watcher.finished()
    assert mesh.wait(20) == 0
    assert "signal 9" in watcher.rows().nth(7).inner_text()
    assert watcher.page.locator("#events li").count() > 50, "what was told stays after the mesh is gone"
    watcher.page.get_by_label("node", exact=True).select_option("node-3")
    watcher.page.get_by_label("find").fill("LEARNED")
    watcher.page.locator("#events li").nth(5).wait_for()
    assert set(watcher.page.locator("#events li b").all_inner_texts()) == {"node-3"}
    assert watcher.complaints == []


def test_detached_the_page_stays_until_the_mesh_is_taken_down(bench: Any) -> None:
    done = bench.fakes("-n", "2", "--rounds", "1", "--detach", "--json", FAKE_FAULTS="node-0:endless")
    assert done.returncode == 0, done.stderr
    url = json.loads(done.stdout)["watch"]
    assert f"watch   {url}\n" in done.stderr
    assert json.loads(bench.localnet("status", "--json").stdout)["watch"] == url
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert b"<title>localnet" in answer.read()
    assert bench.localnet("down").returncode == 0
    bench.wait_gone(5)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=10)


def test_a_port_that_is_taken_is_an_error_before_anything_starts(bench: Any) -> None:
    with bench.taken_port() as port:
        done = bench.fakes("-n", "1", "--rounds", "1", "--serve", f"127.0.0.1:{port}", "--json")
        assert done.returncode == 9
        assert "--serve" in json.loads(done.stdout)["error"]["fix"]
    assert not bench.state.exists()
    assert bench.fakes("-n", "1", "--serve", "nowhere").returncode == 2
    quiet = bench.fakes("-n", "1", "--rounds", "1", "--no-serve")
    assert quiet.returncode == 0
    assert "watch" not in quiet.stdout


@pytest.mark.long
def test_a_page_outlives_its_mesh_and_goes_over_to_the_next_one(bench: Any, browser: Any) -> None:
    with bench.taken_port() as port:
        pass  # free again, and nobody else's soon
    words = ("up", "--chain", "none", "--rounds", "1", "--serve", f"127.0.0.1:{port}", "--fresh")
    first = bench.start("fakes", *words, "-n", "3", FAKE_FAULTS="node-0:endless")
    watcher = Watcher(browser, url_of(bench))
    watcher.rows().nth(2).wait_for()
    watcher.wait_for("#nodes td", "✓ finished")
    first.kill()
    watcher.wait_for("#status-text", "no connection")
    watcher.wait_for("#notice", "does not answer any more")
    assert watcher.rows().count() == 3, "what was known stays"
    bench.wait_gone(5)
    second = bench.start("fakes", *words, "-n", "2", FAKE_FAULTS="node-0:endless")
    watcher.wait_for("#status-text", "live")
    watcher.wait_for("#plan", "2 nodes")
    assert watcher.rows().count() == 2
    assert watcher.page.locator("#graph .node").count() == 2
    second.send_signal(signal.SIGTERM)
    watcher.wait_for("#status-text", "stopped")
    watcher.wait_for("#nodes td", "■ stopped")
    assert second.wait(10) == 130


# -- with a real mesh --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def axe() -> str:
    """The rules of accessibility, fetched as package-lock.json says when they are not here."""
    home = HERE / "page"
    script = home / "node_modules" / "axe-core" / "axe.min.js"
    npm = shutil.which("npm")
    reason = "" if script.exists() or npm else "there is no npm to fetch axe-core with"
    if not script.exists() and npm:
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, timeout=120)
        reason = "" if done.returncode == 0 else f"axe-core cannot be fetched: {done.stderr[-300:]}"
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    return script.read_text(encoding="utf-8")


def serious(watcher: Watcher, axe: str) -> list[str]:
    """What the rules find that keeps people out. The page must have been opened with its policy set aside."""
    watcher.page.evaluate(axe)
    found = watcher.page.evaluate("axe.run()")
    assert len(found["passes"]) > 20, "the rules did run"
    return [
        f"{issue['id']}: {issue['help']}: {issue['nodes'][0]['html'][:200]}"
        for issue in found["violations"]
        if issue["impact"] in SERIOUS
    ]


def take(watcher: Watcher, name: str, folder: Path) -> None:
    """A picture for the docs."""
    path = Path(os.environ.get("P2PFD_IMAGES") or folder) / f"{name}.png"
    watcher.page.mouse.move(1, 1)
    watcher.page.screenshot(path=path)
    assert path.stat().st_size < LARGEST_PICTURE


@pytest.mark.long
def test_ten_real_nodes_their_money_and_what_people_need_to_see_it(
    bench: Any, browser: Any, axe: str, tmp_path: Path
) -> None:
    mesh = bench.start("localnet_command", "up", "-n", "10", "--rounds", "6", "--start-timeout", "240")
    url = url_of(bench)
    watcher = Watcher(browser, url)
    tested = Watcher(browser, url, bypass_csp=True)
    small = {"width": 400, "height": 1750}
    dark = Watcher(browser, url, bypass_csp=True, color_scheme="dark")
    narrow = Watcher(browser, url, bypass_csp=True, viewport=small, reduced_motion="reduce")
    loads = [painted(watcher)]
    for _ in range(3):
        watcher.page.reload()
        loads.append(painted(watcher))
    assert min(loads) <= 1000, f"milliseconds until the mesh is seen: {loads}"
    print("milliseconds until the mesh is seen:", loads)

    watcher.wait_for("#h-round", re.compile(r"Round [4-6] of 6"))
    take(watcher, "watch-running", tmp_path)
    assert serious(tested, axe) == []

    for each in (watcher, tested, dark, narrow):
        each.finished()
    assert mesh.wait(60) == 0
    assert "recomputed" in watcher.page.locator("#figures").inner_text()
    take(watcher, "watch-light", tmp_path)
    take(dark, "watch-dark", tmp_path)
    take(narrow, "watch-narrow", tmp_path)
    assert narrow.page.evaluate("document.documentElement.scrollWidth") <= small["width"]
    for each in (tested, dark, narrow):
        assert serious(each, axe) == []

    # From the keyboard alone: to a node's button, into the explanation, out again.
    page = watcher.page
    page.get_by_role("button", name="Why node-4 was paid").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    assert re.search(r"node-4 earned \d+\.\d\d in round 6", dialog.inner_text())
    assert "equal to the last unit" in dialog.inner_text()
    assert dialog.get_by_role("row").count() > 3
    dialog.get_by_label("round").select_option("0")
    assert "in round 1" in dialog.inner_text()
    take(watcher, "watch-why", tmp_path)
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert page.evaluate("document.activeElement.textContent") == "why?", "where one was before"
    assert page.locator("#blocks li").count() > 10
    assert "settled" in page.locator("#announce").inner_text() or "finished" in page.locator("#announce").inner_text()

    tested.page.get_by_role("button", name="Why node-0 was paid").click()
    assert serious(tested, axe) == []
    for each in (watcher, tested, dark, narrow):
        assert each.complaints == []


def painted(watcher: Watcher) -> float:
    """When all nodes stood there, in milliseconds after the page was asked for."""
    watcher.rows().nth(9).wait_for()
    found: float = watcher.page.evaluate("performance.getEntriesByName('painted')[0].startTime")
    return round(found)


@pytest.mark.long
def test_ten_real_nodes_in_encounters_their_votes_and_who_was_paid_what(
    bench: Any, browser: Any, axe: str, tmp_path: Path
) -> None:
    mesh = bench.start("localnet_command", "up", "encounters", "--rounds", "2", "--start-timeout", "240")
    url = url_of(bench)
    watcher = Watcher(browser, url)
    narrow = Watcher(browser, url, bypass_csp=True, viewport={"width": 400, "height": 1200}, color_scheme="dark")
    page = watcher.page
    page.locator("#met tbody tr", has_text="5 of 9: judge").first.wait_for()
    page.locator("#met .vote.yes").first.wait_for()
    watcher.wait_for("#h-round", re.compile(r"[2-9] of 20 encounters are over"))
    take(watcher, "watch-encounters", tmp_path)
    for each in (watcher, narrow):
        each.finished()
    assert mesh.wait(60) == 0
    watcher.wait_for("#h-round", "20 of 20 encounters are over")
    assert page.locator("#met tbody tr").count() == 20
    told = {row.split(":")[0].strip() for row in page.locator("#met .step-name").all_inner_texts()}
    assert told <= {"9 of 9", "8 of 9", "2 of 9"}, "accepted, refused, or void"

    page.locator("#met tbody tr", has_text="accepted").first.get_by_role("button").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    assert re.search(r"node-\d learned from node-\d: accepted", dialog.inner_text())
    assert "the neighbor gets 7.00 of the learner’s 10.00" in dialog.inner_text()
    assert "equal to the last unit" in dialog.inner_text()
    assert dialog.get_by_role("row").count() == 4
    take(watcher, "watch-encounter-why", tmp_path)
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    page.get_by_role("button", name="Why node-1 was paid").click()
    assert re.search(r"node-1 got [+−]\d+\.\d\d from \d+ parts in encounters", dialog.inner_text())
    page.keyboard.press("Escape")

    assert narrow.page.evaluate("document.documentElement.scrollWidth") <= 400
    assert serious(narrow, axe) == []
    for each in (watcher, narrow):
        assert each.complaints == []
    report = Watcher(browser, (bench.state / "report.html").as_uri(), bypass_csp=True)
    assert "What each encounter paid, and why" in report.page.inner_text("main")
    take(report, "report-encounters", tmp_path)
    assert serious(report, axe) == []
    assert report.complaints == []


@pytest.mark.parametrize("kind", [{}, {"color_scheme": "dark"}, {"viewport": {"width": 400, "height": 900}}], ids=str)
@pytest.mark.long
def test_a_report_can_be_read_by_everybody_and_asks_nobody(bench: Any, browser: Any, axe: str, kind: Any) -> None:
    done = bench.fakes("-n", "4", "--rounds", "3", "--no-serve")
    assert done.returncode == 0, done.stderr
    report = Watcher(browser, (bench.state / "report.html").as_uri(), bypass_csp=True, **kind)
    assert report.page.locator("svg.mesh .node").count() == 4
    assert report.page.locator("svg.chart polyline.mean").count() == 1
    width = report.page.evaluate("document.documentElement.scrollWidth")
    assert width <= kind.get("viewport", {"width": 1240})["width"]
    assert serious(report, axe) == []
    assert report.page.evaluate("performance.getEntriesByType('resource').length") == 0
    report.page.emulate_media(media="print")
    assert report.page.locator("section", has_text="The same run again").is_visible()
    assert report.complaints == []


@pytest.mark.long
@pytest.mark.parametrize("kind", [(), ("encounters",)], ids=["rounds", "encounters"])
def test_fifty_nodes_do_not_make_it_stutter(bench: Any, browser: Any, tmp_path: Path, kind: tuple[str, ...]) -> None:
    crowd = bench.start("page_crowd", "50", "30", *kind)
    assert crowd.stdout is not None
    watcher = Watcher(browser, crowd.stdout.readline().strip())
    watcher.rows().nth(49).wait_for()
    watcher.page.locator("#events li").nth(200).wait_for(state="attached")
    trace = tmp_path / "trace.json"
    browser.start_tracing(page=watcher.page, path=trace, categories=["disabled-by-default-devtools.timeline"])
    frames = watcher.page.evaluate(FRAMES)
    browser.stop_tracing()
    # Processor time of the page's thread, and not time on the clock: other tests must not decide this one.
    took = sorted(tasks_of(trace), reverse=True)
    print(f"{frames} frames in five seconds; the longest tasks in milliseconds: {[round(ms) for ms in took[:5]]}")
    assert len(took) > 50, "it did draw"
    assert took[2] < 50, "at most two tasks that could be felt"
    assert sum(took) < 500 + 12 * frames, "news ten times a second, and some of what a frame has at sixty a second"
    assert watcher.complaints == []
    watcher.context.close()
    crowd.send_signal(signal.SIGTERM)
    crowd.communicate(timeout=10)


def tasks_of(trace: Path) -> list[float]:
    """The milliseconds of processor time that each task of the page's main thread took."""
    events = json.loads(trace.read_text())["traceEvents"]
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    return [
        event["tdur"] / 1000
        for event in events
        if event.get("name") == "RunTask" and "tdur" in event and (event["pid"], event["tid"]) in mains
    ]


FRAMES = """() => new Promise((done) => {
  let count = 0;
  const began = performance.now();
  const step = (now) => {
    count += 1;
    if (now - began < 5000) requestAnimationFrame(step);
    else done(count);
  };
  requestAnimationFrame(step);
})"""
