"""The Containerfile, built in a clean root and run as an engine would: with `tools/container_root.py`, as root only.

What pip is to find on this machine is named by the variables P2PFD_IMAGE_WORDS, words for that script as `--bind DIR`,
and P2PFD_IMAGE_BASE, a clean root that is there already.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from p2pfd import __version__
from p2pfd.network.libp2p import open_transport
from p2pfd.network.settings import NetworkSettings
from p2pfd.node import boards

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools/container_root.py"
MINI = """\
FROM docker.io/library/python:3.11-slim-bookworm AS build
ARG WHO=you
WORKDIR /src
COPY . .
RUN mkdir /opt/x \\
    && echo "hello $WHO" > /opt/x/hello
FROM docker.io/library/python:3.11-slim-bookworm
COPY --from=build /opt/x /opt/x
ENV A=1 PATH=/opt/x:$PATH
USER 10001
WORKDIR /data
HEALTHCHECK --interval=3s CMD ["cat", "here"]
ENTRYPOINT ["sh", "-c"]
CMD ["id -u"]
"""


@pytest.fixture
def reader(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import containerfile

    return containerfile


def test_the_containerfile_is_read_whole(reader):
    build, image = reader.read(ROOT / "deploy/container/Containerfile", {"TORCH_INDEX": "here"})
    assert [word for _, word, _ in build.steps] == ["RUN", "WORKDIR", "COPY", "RUN"]
    assert build.args == {"TORCH_INDEX": "here"}
    assert image.user == "10001"
    assert image.env["PATH"].startswith("/opt/p2pfd/bin:/usr/local/sbin:")
    assert image.entrypoint == ["p2pfd"]
    assert image.health[0] == "python"
    assert image.volumes == ["/data"]


def test_what_a_file_says_is_taken_apart(reader, tmp_path):
    (tmp_path / "Containerfile").write_text(MINI)
    build, image = reader.read(tmp_path / "Containerfile", {})
    assert build.steps[2] == (5, "RUN", ['mkdir /opt/x && echo "hello $WHO" > /opt/x/hello'])
    assert image.steps[0] == (8 - 0, "COPY", ["build", "/opt/x", "/opt/x"])
    assert (image.workdir, image.command, image.health) == ("/data", ["id -u"], ["cat", "here"])


@pytest.mark.parametrize(
    "line",
    [
        "ADD https://example.com/x /x",
        "SHELL ['bash']",
        "ONBUILD RUN true",
        "RUN --mount=type=cache,target=/x true",
        'RUN ["true"]',
        "COPY --chown=1:1 a b",
        "COPY --from=nowhere a b",
        "COPY ../secret /x",
        "COPY a b c",
        "ENTRYPOINT p2pfd",
        "CMD [1]",
        "HEALTHCHECK NONE",
        "FROM --platform=linux/arm64 x",
        "ENV A",
        "RUN true \\",
    ],
)
def test_whatever_else_it_says_is_refused_with_its_line(reader, tmp_path, line):
    (tmp_path / "Containerfile").write_text(f"FROM x\n{line}\n")
    with pytest.raises(reader.ContainerfileError, match="line 2"):
        reader.read(tmp_path / "Containerfile", {})


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The image, built once."""
    base = os.environ.get("P2PFD_IMAGE_BASE", "")
    if os.geteuid() != 0 or not (base or shutil.which("debootstrap")):
        pytest.skip("a clean root takes root rights and debootstrap: apt-get install debootstrap")
    root = Path(os.environ.get("P2PFD_IMAGE", "") or tmp_path_factory.mktemp("image") / "root")
    if not (root / "image.json").exists():
        words = [*(["--base", base] if base else []), *shlex.split(os.environ.get("P2PFD_IMAGE_WORDS", ""))]
        subprocess.run([sys.executable, SCRIPT, "build", "--root", root, *words], check=True)
    return root


def command(root, *words, options=()):
    return [sys.executable, str(SCRIPT), "run", "--root", str(root), *options, "--", *words]


@pytest.mark.long
def test_the_image_says_its_version_as_a_user_without_rights(image):
    done = subprocess.run(command(image, "--version"), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"p2pfd {__version__}"
    assert json.loads((image / "image.json").read_text())["user"] == "10001"
    torch = list((image / "image/opt/p2pfd/lib").glob("python3*/site-packages/torch-*"))
    assert torch, "torch is there"
    assert not list((image / "image/opt/p2pfd/lib").glob("python3*/site-packages/nvidia*")), "and no GPU code"


@pytest.mark.long
def test_its_relay_is_healthy_by_its_own_check_and_ends_when_it_is_told_to(image):
    words = ("relay", "--home", "/data/alone", "--listen", "/ip4/127.0.0.1/tcp/0", "--metrics", "127.0.0.1:9464")
    done = subprocess.run(command(image, *words, options=("--alone", "--healthy", "300")), check=False)
    assert done.returncode == 0
    no_page = subprocess.run(
        command(image, *words[:-2], options=("--alone", "--healthy", "20")), check=False, capture_output=True
    )
    assert no_page.returncode == 1, "a relay without that page is not healthy"


@pytest.mark.long
@pytest.mark.network
async def test_a_node_outside_dials_the_relay_inside(image):
    words = ("relay", "--home", "/data/relay", "--listen", "/ip4/127.0.0.1/tcp/0", "--plain")
    process = await trio.lowlevel.open_process(command(image, *words), stdout=subprocess.PIPE)
    try:
        said = b""
        with trio.fail_after(300):
            while b"\ngive " not in said:
                said += await process.stdout.receive_some()
        address = said.split(b"address ")[1].split()[0].decode()
        async with open_transport(b"o" * 32, "/ip4/127.0.0.1/tcp/0", NetworkSettings()) as outside:
            assert address.endswith(await outside.connect(address))
        reading = await boards.find([], [address], NetworkSettings(), lambda: 1_800_000_000, 5)
        assert reading.found() == []
    finally:
        with trio.CancelScope(shield=True):
            process.terminate()
            with trio.move_on_after(30):
                await process.wait()
            ended = process.returncode
            process.kill()
            await process.wait()
            await process.stdout.aclose()
    assert ended == 0, "it ends when it is told to"
