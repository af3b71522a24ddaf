"""A peer in JavaScript, written by the pages of docs/reference, and p2pfd nodes: each must take the other for one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from libp2p.custom_types import TProtocol
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID

from p2pfd.core.ids import Digest, RoundId
from p2pfd.core.labels import commitment, pack, unpack
from p2pfd.core.rng import Rng
from p2pfd.core.verdict import ACCEPT
from p2pfd.errors import NetworkError
from p2pfd.network.exchange import BLOB_PROTOCOL, read_exactly
from p2pfd.network.manifest import PIECE, cid_of, describe
from p2pfd.node.ports import topic_of
from p2pfd.wire.messages import Commit, Hello, Reveal
from p2pfd.wire.vouch import vouch

from .js import js_peer
from .nodes import FAR, JS, NEAR, TASK, listening, meet

pytestmark = pytest.mark.network

ROUND = RoundId(3)
LABELS = bytes(number % 10 for number in range(100))
SALT = b"\x5a" * 32
BLOB = Rng(b"\7" * 32).bytes(7 * PIECE // 2)


@pytest.mark.parametrize("js_dials", [True, False], ids=["js dials", "p2pfd dials"])
async def test_each_takes_part_in_the_other_s_round(node: str, js_dials: bool) -> None:
    async with js_peer(node, TASK, JS) as js, listening(NEAR) as near:
        await meet(js, near, js_dials)
        packed = pack(LABELS)
        bound = commitment(TASK, ROUND, NEAR.account.account, SALT, packed)
        await near.say(vouch(TASK, NEAR))
        await near.say(Commit(ROUND, bound, b"\xee" * 32))
        await near.say(Reveal(ROUND, SALT, packed))
        for seq, fields in enumerate(
            (
                {"kind": "hello", "peer": NEAR.peer, "account": NEAR.account.account},
                {"kind": "commit", "round": ROUND, "commitment": bound.hex(), "student": "ee" * 32},
                {"kind": "reveal", "round": ROUND, "salt": SALT.hex(), "labels": packed.hex()},
            ),
            start=1,
        ):
            heard = await js.until(event="heard", seq=str(seq))
            assert (heard["verdict"], heard["from"], heard["via"]) == ("accept", NEAR.peer, NEAR.peer)
            assert fields.items() <= heard["message"].items()
        assert (await js.until(event="heard", seq="3"))["opens"] is True
        await near.say(Commit(ROUND, Digest(b"\xdd" * 32)))
        await js.until(event="heard", verdict="reject", why="a second commitment for one round")

        for what, how in (("hello", {}), ("commit", {"round": 4, "labels": [*LABELS]}), ("reveal", {"round": 4})):
            assert (await js.do(what, **how))["to"] == 1
        await near.until(3)
        assert [verdict for _, verdict in near.heard] == [ACCEPT] * 3
        hello, commit, reveal = (envelope.body for envelope in near.opened)
        assert isinstance(hello, Hello)
        assert isinstance(commit, Commit)
        assert isinstance(reveal, Reveal)
        assert hello == vouch(TASK, JS), "signatures are the same in every language"
        assert commit.commitment == commitment(TASK, RoundId(4), hello.account, reveal.salt, reveal.labels)
        assert unpack(reveal.labels, len(LABELS), 10) == LABELS
        assert (await js.do("ping", peer=NEAR.peer))["milliseconds"] >= 0


async def test_messages_and_blobs_pass_through_the_peer(node: str, tmp_path: Path) -> None:
    async with js_peer(node, TASK, JS) as js, listening(NEAR) as near, listening(FAR) as far:
        await meet(js, near)
        await meet(js, far)
        await near.say(Commit(ROUND, Digest(b"\x11" * 32)))
        await far.until(1)
        assert [envelope.sender for envelope in far.opened] == [NEAR.peer]
        # What it refuses it does not pass on; what comes after it is passed on, so the refused one would have come.
        await near.transport.publish(topic_of(TASK), b"\2no envelope")
        await js.until(event="heard", verdict="reject")
        await near.say(Commit(RoundId(ROUND + 1), Digest(b"\x22" * 32)))
        await far.until(2)
        assert [verdict for _, verdict in far.heard] == [ACCEPT] * 2

        cid = await near.transport.put(BLOB)
        words = {"blob": cid.hex(), "limit": len(BLOB), "file": str(tmp_path / "got")}
        assert (await js.do("get", peer=NEAR.peer, **words))["bytes"] == len(BLOB)
        assert (tmp_path / "got").read_bytes() == BLOB
        assert far.transport.peers() == (JS.peer,)
        assert await far.transport.get(cid, len(BLOB)) == BLOB


async def test_a_blob_of_the_peer_comes_here_in_pieces_that_are_checked(node: str, tmp_path: Path) -> None:
    marked = b"p2pfd-blob-manifest-1".ljust(32, b"\0") + b"not a manifest"
    async with js_peer(node, TASK, JS) as js, listening(NEAR) as near:
        await meet(js, near, js_dials=False)
        for number, blob in enumerate((BLOB, BLOB[: 2 * PIECE], BLOB[:PIECE], b"p2pfd", b"", marked)):
            file = tmp_path / str(number)
            file.write_bytes(blob)
            cid = cid_of(blob)
            assert (await js.do("put", file=str(file)))["blob"] == cid.hex()
            assert await near.transport.get(cid, len(blob)) == blob
            mine = Rng(b"%032d" % number).bytes(len(blob) or 1)
            words = {"blob": (await near.transport.put(mine)).hex(), "limit": len(mine), "file": str(file)}
            await js.do("get", peer=NEAR.peer, **words)
            assert file.read_bytes() == mine


async def test_the_peer_answers_questions_in_their_order_however_they_come(node: str, tmp_path: Path) -> None:
    blob = BLOB[: PIECE + 5]
    (tmp_path / "blob").write_bytes(blob)
    async with js_peer(node, TASK, JS) as js, listening(NEAR) as near:
        await meet(js, near)
        cid = bytes.fromhex((await js.do("put", file=str(tmp_path / "blob")))["blob"])
        questions = [cid + number.to_bytes(4, "big") for number in (1, 2, 2**32 - 1)] + [bytes(32) + b"\xff" * 4]
        host = near.transport._exchange._host
        stream = await host.new_stream(ID.from_base58(JS.peer), [TProtocol(BLOB_PROTOCOL)])
        asked = b"".join(questions)
        with trio.fail_after(20):
            for part in (asked[:80], asked[80:81], asked[81:]):
                await stream.write(part)
            hashes = b"".join(describe(blob).pieces)
            wanted = b"\1" + blob[-5:] + b"\0" + len(blob).to_bytes(8, "big") + hashes + b"\xff" * 8
            assert await read_exactly(stream, len(wanted)) == wanted
            await stream.close()
            with pytest.raises(StreamEOF):
                await stream.read(1)


HEAD = len(BLOB).to_bytes(8, "big")
HASHES = b"".join(describe(BLOB).pieces)
LIES = {
    "the peer offers 9223372036854775808 bytes, the limit is": [(2**63).to_bytes(8, "big")],
    "the peer does not have the blob": [b"\xff" * 8],
    "the manifest is not that of the blob": [HEAD + HASHES[:-32] + bytes(32)],
    "piece 0 is not that of the blob": [HEAD + HASHES, b"\1" + b"x" * PIECE],
    "the peer has the blob no longer": [HEAD + HASHES, b"\0"],
    "stream closed": [HEAD[:3]],
}


async def test_the_peer_takes_nothing_wrong_from_a_liar(node: str, tmp_path: Path) -> None:
    async with js_peer(node, TASK, JS) as js, listening(NEAR) as near:
        await js.do("dial", address=near.transport.addresses[0])
        for why, answers in LIES.items():

            async def lie(stream: Any, answers: Sequence[bytes] = answers) -> None:
                for answer in answers:
                    await stream.read(36)
                    await stream.write(answer)
                await stream.close()

            near.transport._exchange._host.set_stream_handler(TProtocol(BLOB_PROTOCOL), lie)
            words = {"blob": cid_of(BLOB).hex(), "limit": len(BLOB), "file": str(tmp_path / "got")}
            answered = await js.tell("get", peer=NEAR.peer, **words)
            assert answered["event"] == "failed"
            assert why in answered["why"]
            assert not (tmp_path / "got").exists()


async def test_each_answers_the_other_s_requests(node: str) -> None:
    async with js_peer(node, TASK, JS) as js, listening(NEAR) as near:
        await meet(js, near)
        near.transport.serve("twice", 1000, lambda peer, raw: peer.encode() + 2 * raw)
        words = {"peer": NEAR.peer, "name": "twice", "raw": "00ff", "limit": 56}
        assert (await js.do("ask", **words))["answer"] == (JS.peer.encode() + b"\x00\xff\x00\xff").hex()
        refused = await js.tell("ask", **{**words, "limit": 55})
        assert refused["event"] == "failed"
        assert "overflow" in refused["why"] or "56 bytes, the limit is 55" in refused["why"]

        await js.do("serve", name="backwards", limit=300_000)
        question = Rng(b"\3" * 32).bytes(300_000)
        assert await near.transport.request(JS.peer, "backwards", question, 300_000) == question[::-1]
        with pytest.raises(NetworkError):
            await near.transport.request(JS.peer, "backwards", question + b"!", 300_001)
        assert await near.transport.request(JS.peer, "backwards", b"", 0) == b""
