"""The JSON-RPC client with endpoints as public ones are: busy, behind proxies, over TLS, with keys in their paths."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import h11
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from p2pfd.errors import ChainError
from p2pfd.settlement.api import ChainAwayError
from p2pfd.settlement.rpc import Rpc, RpcRefusal

pytestmark = pytest.mark.network
Answer = tuple[int, list[tuple[str, str]], bytes]


def right(body: bytes, result: object = "0x1") -> Answer:
    return 200, [], json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], "result": result}).encode()


@asynccontextmanager
async def endpoint(answer: Callable[[bytes], Answer], tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that answers each request's body, and tells the paths that were asked for."""

    async def serve(plain: trio.SocketStream) -> None:
        stream: trio.abc.Stream = plain
        if tls is not None:
            stream = trio.SSLStream(plain, tls, server_side=True, https_compatible=True)
        http = h11.Connection(h11.SERVER)
        body = b""
        async with stream:
            try:
                while True:
                    event = http.next_event()
                    if event is h11.NEED_DATA:
                        http.receive_data(await stream.receive_some(65_536))
                    elif isinstance(event, h11.Data):
                        body += bytes(event.data)
                    elif isinstance(event, h11.EndOfMessage):
                        status, more, out = answer(body)
                        head = [("content-length", str(len(out))), *more]
                        sent = (http.send(h11.Response(status_code=status, headers=head)) or b"") + (
                            http.send(h11.Data(data=out)) or b""
                        )
                        await stream.send_all(sent + (http.send(h11.EndOfMessage()) or b""))
                        http.start_next_cycle()
                        body = b""
                    elif isinstance(event, h11.ConnectionClosed):
                        return
            except (trio.BrokenResourceError, h11.RemoteProtocolError):
                return

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "first",
    [
        (429, [("retry-after", "0")], b"slow down"),
        (503, [], b""),
        (500, [("retry-after", "soon")], b"<html>"),
        (200, [], b"<html>a page of something in between</html>"),
        (200, [], b'{"jsonrpc":"2.0","id":1,"error":{"code":429,"message":"too many requests"}}'),
    ],
)
async def test_what_passes_is_asked_again(first: Answer) -> None:
    asked: list[bytes] = []

    def answer(body: bytes) -> Answer:
        asked.append(body)
        return first if len(asked) == 1 else right(body)

    async with endpoint(answer) as port:
        rpc = Rpc(f"http://127.0.0.1:{port}")
        assert await rpc.call("eth_chainId") == "0x1"
        assert asked[0] == asked[1]
        await rpc.aclose()


async def test_a_refusal_after_another_try_is_marked() -> None:
    asked: list[bytes] = []

    def answer(body: bytes) -> Answer:
        asked.append(body)
        refusal = {"id": json.loads(body)["id"], "error": {"code": -32000, "message": "nonce too low"}}
        return (500, [], b"") if len(asked) == 1 else (200, [], json.dumps(refusal).encode())

    async with endpoint(answer) as port:
        rpc = Rpc(f"http://127.0.0.1:{port}")
        for repeated in (True, False):
            with pytest.raises(RpcRefusal) as caught:
                await rpc.call("eth_sendRawTransaction", "0x")
            assert caught.value.repeated is repeated
        await rpc.aclose()


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [(503, ChainAwayError, "answers with the status 503"), (404, ChainError, "answers with the status 404")],
)
async def test_what_stays_wrong_is_told_without_the_key_in_the_path(
    status: int, error: type[ChainError], said: str
) -> None:
    page = [("content-encoding", "br")], b"a page, packed in a way that nobody asked for"
    async with endpoint(lambda _: (status, *page)) as port:
        rpc = Rpc(f"http://user:word@127.0.0.1:{port}/v2/SECRET?apikey=SECRET", patience=0.1)
        with pytest.raises(error, match=said) as caught:
            await rpc.call("eth_chainId")
        assert "SECRET" not in str(caught.value) + rpc.url
        assert "word" not in str(caught.value) + rpc.url
        await rpc.aclose()


async def test_one_refusal_in_a_batch_does_not_hide_the_others() -> None:
    def answer(body: bytes) -> Answer:
        asked = json.loads(body)
        return (
            200,
            [],
            json.dumps(
                [
                    {"id": asked[1]["id"], "result": "0x2"},
                    {"id": asked[0]["id"], "error": {"code": 3, "message": "no", "data": "0x12"}},
                ]
            ).encode(),
        )

    async with endpoint(answer) as port:
        rpc = Rpc(f"http://127.0.0.1:{port}")
        refusal, second = await rpc.several([("a", []), ("b", [])])
        assert isinstance(refusal, RpcRefusal)
        assert (refusal.data, second) == (b"\x12", "0x2")
        with pytest.raises(RpcRefusal):
            await rpc.batch([("a", []), ("b", [])])
        await rpc.aclose()


async def test_a_batch_that_is_refused_as_a_whole() -> None:
    said = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batches are not for you"}}'
    async with endpoint(lambda _: (200, [], said)) as port:
        rpc = Rpc(f"http://127.0.0.1:{port}")
        with pytest.raises(RpcRefusal, match="batches are not for you"):
            await rpc.batch([("a", []), ("b", [])])
        await rpc.aclose()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=100 * 365))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


async def test_tls_with_a_certificate_that_is_checked(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    async with endpoint(right, server) as port:
        trusting = Rpc(f"https://127.0.0.1:{port}", tls=ssl.create_default_context(cafile=str(cert)))
        assert await trusting.call("eth_chainId") == "0x1"
        assert await trusting.call("eth_chainId") == "0x1"
        await trusting.aclose()
        careful = Rpc(f"https://127.0.0.1:{port}", patience=0.1)
        with pytest.raises(ChainError, match="certificate"):
            await careful.call("eth_chainId")
