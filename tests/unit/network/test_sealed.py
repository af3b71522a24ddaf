"""Private meshes: who has the key is in, and everybody else is refused at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from Crypto.Cipher import Salsa20
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.errors import NetworkError, PlanError, StorageError
from p2pfd.network.sealed import GREETING, NONCE, cipher, hsalsa20
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.swarmkey import read_key

from .conftest import Nodes

pytestmark = pytest.mark.network


def write_key(path: Path, digits: str = "ab" * 32) -> str:
    path.write_text(f"/key/swarm/psk/1.0.0/\n/base16/\n{digits}\n")
    path.chmod(0o600)
    return str(path)


def test_hsalsa20_as_published() -> None:
    """The two derivations of a key in Bernstein's "Cryptography in NaCl", sections 8 and 10."""
    shared = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    first = bytes.fromhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
    assert hsalsa20(shared, bytes(16)) == first
    nonce = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
    second = bytes.fromhex("dc908dda0b9344a953629b733820778880f3ceb421bb61b91cbd4c3e66256ce4")
    assert hsalsa20(first, nonce[:16]) == second
    assert cipher(first, nonce).encrypt(bytes(64)) == Salsa20.new(key=second, nonce=nonce[16:]).encrypt(bytes(64))


async def test_members_talk_and_nothing_that_they_say_can_be_read(nodes: Nodes, tmp_path: Path) -> None:
    settings = NetworkSettings(network_key=write_key(tmp_path / "key"))
    near, far = await nodes.open(settings), await nodes.open(settings)
    heard = bytearray()

    async def tap(task_status: trio.TaskStatus[str]) -> None:
        """Passes on what comes, both ways, and keeps a copy."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        way = far.addresses[0].split("/")
        way[4], port = str(listener.socket.getsockname()[1]), int(way[4])
        task_status.started("/".join(way))
        one, other = await listener.accept(), await trio.open_tcp_stream("127.0.0.1", port)
        async with listener, one, other, trio.open_nursery() as nursery:
            for source, sink in ((one, other), (other, one)):
                nursery.start_soon(carry, source, sink)

    async def carry(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        async for part in source:
            heard.extend(part)
            await sink.send_all(part)

    async with trio.open_nursery() as nursery:
        await near.connect(await nursery.start(tap))
        blob = bytes(range(256)) * 8000
        assert await near.get(await far.put(blob), len(blob)) == blob
        nursery.cancel_scope.cancel()
    assert len(heard) > len(blob)
    assert b"multistream" not in heard
    assert b"noise" not in heard


OUTSIDERS: dict[str, Callable[[Path], str]] = {
    "another key": lambda folder: write_key(folder / "other", "cd" * 32),
    "no key": lambda _folder: "",
}


@pytest.mark.parametrize("outsider", OUTSIDERS.values(), ids=OUTSIDERS)
@pytest.mark.parametrize("dials", [True, False], ids=["dials", "is dialled"])
async def test_who_has_not_the_key_is_refused_at_once(
    outsider: Callable[[Path], str], dials: bool, nodes: Nodes, tmp_path: Path
) -> None:
    member = await nodes.open(NetworkSettings(network_key=write_key(tmp_path / "key")))
    other = await nodes.open(NetworkSettings(network_key=outsider(tmp_path)))
    one, two = (other, member) if dials else (member, other)
    begin = trio.current_time()
    with pytest.raises(NetworkError, match="cannot connect"):
        await one.connect(two.addresses[0])
    assert trio.current_time() - begin < 2, "and not when connect_seconds are over"
    assert (member.peers(), other.peers()) == ((), ())
    again = await nodes.open(NetworkSettings(network_key=str(tmp_path / "key")))
    await again.connect(member.addresses[0])


@given(st.binary(min_size=1, max_size=80))
def test_bytes_without_the_key_never_look_like_a_greeting(raw: bytes) -> None:
    key = bytes(32)
    assert cipher(key, (raw * NONCE)[:NONCE]).decrypt(raw[:20].ljust(20)) != GREETING


def test_a_file_that_holds_no_key_is_an_error_that_says_how_to_write_one(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert read_key(Path(write_key(path))) == bytes.fromhex("ab" * 32)
    for text in ("", "nonsense", "/key/swarm/psk/1.0.0/\n/base16/\nabcd\n", "x" * 10_000):
        path.write_text(text)
        with pytest.raises(PlanError, match="no key of a private network"):
            read_key(path)
    path.chmod(0o644)
    with pytest.raises(StorageError, match="others may read"):
        read_key(path)
    with pytest.raises(StorageError, match="cannot read"):
        read_key(tmp_path / "none")


async def test_a_key_that_cannot_be_read_ends_the_start(nodes: Nodes, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        await nodes.open(NetworkSettings(network_key=str(tmp_path / "none")))
