"""Downloads: checked, resumed where they broke off, and explained where they cannot be had."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from p2pfd.errors import EnvironmentProblem, StorageError
from p2pfd.learning.data import fetch
from p2pfd.learning.data.fetch import Archive, files_hash, obtain
from p2pfd.learning.data.places import cache_folder, download_folder, folders

BODY = np.random.default_rng(1).bytes(700_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


class Home(BaseHTTPRequestHandler):
    """Sends `BODY`; what else it does hangs on the path."""

    def __init__(self, asked: list[str], *args: object) -> None:
        self.asked = asked
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.asked.append(f"{self.path} {wanted}".strip())
        if self.path == "/gone":
            self.send_error(404)
            return
        body, start = BODY, 0
        if self.path == "/other":
            body = BODY[::-1]
        if wanted and self.path != "/deaf":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
        else:
            self.send_response(200)
        body = body[start:] + (b"more" if self.path == "/long" else b"")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: 300_000 if self.path == "/broken" else None])

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    monkeypatch.delenv("P2PFD_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return []


@pytest.fixture
def home(asked: list[str]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Home, asked))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def archive(*homes: str, sha256: str = SHA256) -> Archive:
    return Archive("set/a.gz", len(BODY), sha256, homes)


pytestmark = pytest.mark.network


def test_a_file_is_downloaded_once_and_kept(home: str, asked: list[str], tmp_path: Path) -> None:
    out = io.StringIO()
    path = obtain(archive(f"{home}/a"), None, out)
    assert path == tmp_path / "cache" / "p2pfd" / "data" / "set" / "a.gz"
    assert path.read_bytes() == BODY
    assert out.getvalue() == f"downloading set/a.gz, 0.7 MiB from {home}/a\ndownloaded  set/a.gz\n"
    assert obtain(archive(f"{home}/a"), None, out) == path
    assert asked == ["/a"]
    assert [entry.name for entry in path.parent.iterdir()] == ["a.gz"]


def test_a_terminal_sees_a_percentage(home: str, asked: list[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    obtain(archive(f"{home}/a"), None, out)
    assert "\rdownloading set/a.gz  37% of 0.7 MiB" in out.getvalue()
    assert out.getvalue().endswith("\rdownloading set/a.gz 100% of 0.7 MiB\n")


def test_a_download_goes_on_where_it_broke_off(home: str, asked: list[str], tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="cannot be downloaded"):
        obtain(archive(f"{home}/broken"), tmp_path, io.StringIO())
    assert (tmp_path / "set" / "a.gz.part").stat().st_size == 300_000
    assert obtain(archive(f"{home}/a"), tmp_path, io.StringIO()).read_bytes() == BODY
    assert asked == ["/broken", "/a bytes=300000-"]


def test_a_home_that_cannot_go_on_starts_again(home: str, asked: list[str], tmp_path: Path) -> None:
    part = tmp_path / "set" / "a.gz.part"
    part.parent.mkdir()
    part.write_bytes(BODY[:1000])
    assert obtain(archive(f"{home}/deaf"), tmp_path, io.StringIO()).read_bytes() == BODY
    part.write_bytes(BODY + b"too long")
    (tmp_path / "set" / "a.gz").unlink()
    assert obtain(archive(f"{home}/a"), tmp_path, io.StringIO()).read_bytes() == BODY
    assert asked == ["/deaf bytes=1000-", "/a"]


def test_a_damaged_part_is_not_gone_on_with_twice(home: str, asked: list[str], tmp_path: Path) -> None:
    part = tmp_path / "set" / "a.gz.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 1000)
    assert obtain(archive(f"{home}/a"), tmp_path, io.StringIO()).read_bytes() == BODY
    assert asked == ["/a bytes=1000-", "/a"]


def test_two_who_want_the_same_file_at_once_fetch_it_once(home: str, asked: list[str], tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: obtain(archive(f"{home}/a"), tmp_path, io.StringIO()), range(4)))
    assert {path.read_bytes() for path in paths} == {BODY}
    assert asked == ["/a"]


def test_a_full_disk_is_said(home: str, asked: list[str], tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.gz.part").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="No space left"):
        obtain(archive(f"{home}/a"), tmp_path, io.StringIO())


def test_a_whole_part_is_not_asked_for_again(home: str, asked: list[str], tmp_path: Path) -> None:
    part = tmp_path / "set" / "a.gz.part"
    part.parent.mkdir()
    part.write_bytes(BODY)
    assert obtain(archive(f"{home}/a"), tmp_path, io.StringIO()).read_bytes() == BODY
    assert asked == []


def test_the_next_home_is_tried(home: str, asked: list[str], tmp_path: Path) -> None:
    path = obtain(archive(f"{home}/gone", f"{home}/other", f"{home}/a"), tmp_path, io.StringIO())
    assert path.read_bytes() == BODY
    assert asked == ["/gone", "/other", "/a"]


@pytest.mark.parametrize(
    ("path", "reason"), [("gone", "status 404"), ("other", "has the SHA-256"), ("long", "more than the 700000 bytes")]
)
def test_what_is_not_the_file_is_not_kept(home: str, path: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        obtain(archive(f"{home}/{path}"), tmp_path, io.StringIO())
    assert reason in caught.value.what
    assert f"put {home}/{path} at {tmp_path / 'set' / 'a.gz'}" in caught.value.fix
    assert "P2PFD_DATA" in caught.value.fix
    assert not (tmp_path / "set" / "a.gz").exists()


def test_offline_it_is_said_what_to_put_where(asked: list[str], tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"set/a\.gz is not here and cannot be downloaded: ") as caught:
        obtain(archive("http://127.0.0.1:9/a"), tmp_path, io.StringIO())
    assert f"put http://127.0.0.1:9/a at {tmp_path / 'set' / 'a.gz'}" in caught.value.fix


def test_a_damaged_file_on_this_machine_is_named(home: str, asked: list[str], tmp_path: Path) -> None:
    path = tmp_path / "set" / "a.gz"
    path.parent.mkdir()
    path.write_bytes(BODY[:-1])
    with pytest.raises(StorageError, match=str(path)) as caught:
        obtain(archive(f"{home}/a"), tmp_path, io.StringIO())
    assert "delete it" in caught.value.fix
    assert asked == []


def test_a_disk_that_cannot_be_written_to(home: str, asked: list[str], tmp_path: Path) -> None:
    (tmp_path / "set").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="cannot write"):
        obtain(archive(f"{home}/a"), tmp_path, io.StringIO())


def test_folders(asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache" / "p2pfd" / "data"
    assert cache_folder() == cache
    assert folders() == (cache,)
    assert download_folder() == cache
    monkeypatch.setenv("P2PFD_DATA", str(tmp_path / "mine"))
    assert folders() == (tmp_path / "mine", cache)
    assert folders(tmp_path) == (tmp_path, cache)
    assert download_folder() == cache, "a folder that is not there is not made"
    assert download_folder(tmp_path) == tmp_path
    monkeypatch.setattr("os.access", lambda *_: False)
    assert download_folder(tmp_path) == cache, "a folder that may only be read gets nothing"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache_folder().is_absolute()


def test_the_hash_of_files_hangs_on_their_order() -> None:
    first, second = archive("x"), archive("y", sha256="0" * 64)
    assert files_hash([first, second]) != files_hash([second, first])
    assert fetch.files_hash([first]) == files_hash([archive("another home")])
