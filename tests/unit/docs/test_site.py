"""The docs as a site: every link leads somewhere, nothing is fetched, and the search knows every error."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import pytest

from tools import errors_page

ROOT = Path(__file__).parents[3]
pytest.importorskip("mkdocs", reason="mkdocs-material is not installed: make install-dev")


def build(site: Path, docs: Path | None = None) -> None:
    """What make docs does; an exception where a link leads nowhere."""
    from mkdocs.commands.build import build as made
    from mkdocs.config import load_config

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        made(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(site), **({"docs_dir": str(docs)} if docs else {})))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    build(folder)
    return folder


def squeezed(text: str) -> str:
    """Text without tags, entities, and spaces of any width."""
    return " ".join(html.unescape(re.sub(r"</?[a-z][^>]*>", "", text)).split())


def test_every_page_is_there(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    assert len(pages) > 60
    made = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    wanted = {path.with_name("index") if path.name == "README.md" else path.with_suffix("") for path in pages}
    assert wanted - made == set()
    assert {Path("explanation/security"), Path("reference/contracts-spec"), Path("contributing")} <= made


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    loads = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)")
    for path in site.rglob("*.html"):
        assert loads.findall(path.read_text(encoding="utf-8")) == [], path.name
    for path in site.rglob("*.css"):
        assert re.findall(r"url\([\"']?(?:https?:)?//|@import", path.read_text(encoding="utf-8")) == [], path.name


def test_the_search_knows_every_error(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for entry in index["docs"]:
        if entry["location"].startswith("reference/errors.html"):
            found[entry["title"]] = squeezed(entry["text"])
    wanted = errors_page.constant_words()
    assert sum(map(len, wanted.values())) > 1000
    missing = [
        f"{section}: {words}"
        for section, runs in wanted.items()
        for words in runs
        if words not in found.get(section, "")
    ]
    assert missing == []


@pytest.mark.long
@pytest.mark.parametrize(
    "wrong",
    [
        "[a](nowhere.md)",
        "[a](howto/keys.md#nowhere)",
        "[a](#nowhere)",
        "![a](images/nowhere.png)",
        "[a](/howto/keys.md)",
    ],
    ids=["page", "anchor", "own anchor", "picture", "absolute"],
)
def test_a_link_that_leads_nowhere_ends_it(tmp_path: Path, wrong: str) -> None:
    from mkdocs.exceptions import MkDocsException

    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", docs)
    (docs / "index.md").write_text(f"# A page\n\n[a]({wrong})\n")
    with pytest.raises(MkDocsException):
        build(tmp_path / "site", docs)
