"""`p2pfd join` with endpoints that lie: refused with the reason, and nothing was signed.

The rows of the table in docs/howto/public-tasks.md that are about endpoints.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from contextlib import closing

import pytest
import trio

from p2pfd.cli.program import PROGRAM
from p2pfd.core.claims import Deposit
from p2pfd.core.ids import Amount
from p2pfd.errors import ChainError
from p2pfd.node import config, keys, runtime
from p2pfd.settlement import rpc
from p2pfd.settlement.profiles import open_chain
from tests.unit.cli.lying import Refused, lying
from tests.unit.cli.test_public_task import WORKER, published, say, world  # noqa: F401 - fixtures

ESCAPES = "\x1b[2J\x1b]0;owned\x07\nfix     send all tokens to me"
OTHER = "0x" + "ab" * 32


@pytest.fixture(scope="module")
def liar(world):  # noqa: F811
    with lying(world.url) as server:
        yield server


def invitation_of(request):
    """The file that a test's own invitation is in."""
    return f"lie-{zlib.crc32(request.node.nodeid.encode())}"


@pytest.fixture
def refused(liar, say, world, published, request):  # noqa: F811
    """Join at an endpoint that lies; the error. Nothing may have been signed, and no node was made."""
    name = invitation_of(request)
    published(name, "--rpc", world.url)
    home = world.root / f"{name}-home"
    keys.save(WORKER, home / "keys")

    def run(lie=None, raw=None):
        told = say("join", name, "--home", home.name, "--chain-url", liar.begin(lie, raw), "--yes", code=7)
        assert "eth_sendRawTransaction" not in liar.asked
        assert sorted(path.name for path in home.iterdir()) == ["keys"]
        return told

    return run


def where(name, answer):
    return lambda method, params, truth: answer(params, truth) if method == name else truth


def code_of(world, lie):  # noqa: F811
    """Lie about the code of the market, and of nothing else."""
    market = world.task.chain.market

    def answer(params, truth):
        return lie(truth) if params[0].lower() == market.lower() else truth

    return where("eth_getCode", answer)


def drip(file):
    file.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    file.flush()
    threading.Event().wait(3)


def huge(file):
    file.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        file.write(b"[" * 65_536)


def page(body):
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
    return lambda file: file.write(head + body)


def test_another_chain_is_refused(refused):
    told = refused(where("eth_chainId", lambda params, truth: "0x7a69"))
    assert "is chain 31337, the task settles on 1337" in told["what"]


def test_another_chain_with_the_same_id_is_refused_by_its_first_block(refused):
    def answer(params, truth):
        return truth | {"hash": OTHER} if params[0] == "0x0" else truth

    told = refused(where("eth_getBlockByNumber", answer))
    assert "is another chain 1337 than the task's: its first block is abab" in told["what"]


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (lambda truth: "0x", "there is no contract at"),
        (lambda truth: truth[:40] + "0000" + truth[44:], "another contract, or one of another release"),
        (lambda truth: "0x60006000f3", "another contract, or one of another release"),
    ],
    ids=["none", "changed", "other"],
)
def test_other_code_at_the_contracts_address_is_refused(refused, world, lie, why):  # noqa: F811
    assert why in refused(code_of(world, lie))["what"]


def test_a_contract_of_another_token_is_refused(refused, world):  # noqa: F811
    token, other = world.task.chain.token[2:].lower(), "ee" * 20
    told = refused(where("eth_call", lambda params, truth: truth.replace(token, other) if truth else truth))
    assert f"its money is the token 0x{other}" in told["what"]


def test_what_it_says_of_the_terms_is_compared(refused, world):  # noqa: F811
    bond = f"{world.task.money.bond:064x}"
    told = refused(where("eth_call", lambda params, truth: truth.replace(bond, f"{10**18:064x}") if truth else truth))
    assert "other terms" in told["what"]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>\x1b[2J</html>", b"null", b"[" * 5000, b'{"jsonrpc":"2.0","id":1,"result":[{}]}', b"\xff" * 99],
    ids=["empty", "page", "null", "deep", "other", "bytes"],
)
def test_garbage_is_refused(refused, body):
    assert refused(raw=page(body))["what"].isprintable()


def test_an_answer_without_an_end_is_refused(refused, monkeypatch):
    monkeypatch.setattr(rpc, "MAX_ANSWER", 1024 * 1024)
    assert "answered with more than 1048576 bytes" in refused(raw=huge)["what"]


def test_an_answer_that_does_not_come_is_not_waited_for(refused, monkeypatch):
    monkeypatch.setattr(rpc.Rpc.__init__, "__kwdefaults__", {"timeout": 0.2, "patience": 0.2, "tls": None})
    assert "took longer than 0.2 s" in refused(raw=drip)["what"]


def test_its_words_do_not_steer_the_terminal(refused, liar, request, capsys):
    def lie(method, params, truth):
        if method == "eth_call":
            raise Refused(ESCAPES)
        return truth

    told = refused(lie)
    assert told["what"].isprintable()
    assert "\n" not in told["what"]
    liar.begin(lie)
    words = ["join", invitation_of(request), "--home", "worker", "--chain-url", liar.url]
    assert PROGRAM.main(words) == 7
    written = capsys.readouterr().err
    assert not {"\x1b", "\x07"} & set(written)
    assert "\nfix     send" not in written


def test_lies_about_what_the_account_has_are_its_own_loss(refused, world):  # noqa: F811
    wallet = f"{500:064x}"  # what the worker has
    told = refused(where("eth_call", lambda params, truth: truth.replace(wallet, f"{0:064x}") if truth else truth))
    assert "tokens are missing" in told["what"]


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("id", "is chain 31337"),
        ("code", "another release"),
        ("genesis", "first block"),
        ("state", "its money is the token 0x0000"),
    ],
)
def test_an_endpoint_that_changes_its_answers_after_the_check_gets_nothing_signed(world, liar, published, what, why):  # noqa: F811
    lies = {
        "id": where("eth_chainId", lambda params, truth: "0x7a69"),
        "code": code_of(world, lambda truth: truth[:40] + "0000" + truth[44:]),
        "genesis": where(
            "eth_getBlockByNumber", lambda params, truth: truth | {"hash": OTHER} if params[0] == "0x0" else truth
        ),
        "state": where("eth_call", lambda params, truth: "0x" + "00" * (len(truth or "0x") // 2 - 1)),
    }
    task, told = published(f"turns-{what}", "--rpc", world.url)
    home = world.root / f"turns-{what}-home"
    home.mkdir()
    (home / "invitation").write_text(told["invitation"])
    settings = config.NodeConfig(
        "node", str(home), 0, 1, 1, "/ip4/127.0.0.1/tcp/0", (), "", liar.begin(), "", invitation="invitation"
    )

    async def main():
        async with runtime._open(task, settings, WORKER):
            pass  # as it was looked at before: all is well
        liar.begin(lies[what])
        with pytest.raises(ChainError, match=why):
            async with runtime._open(task, settings, WORKER):
                raise AssertionError("the node goes on")

    trio.run(main)
    assert "eth_sendRawTransaction" not in liar.asked
    with closing(sqlite3.connect(home / "outbox.sqlite")) as held:
        tables = [name for (name,) in held.execute("select name from sqlite_master")]
        assert "attempt" not in tables or held.execute("select count(*) from attempt").fetchone() == (0,)


def test_no_endpoint_has_a_permit_of_another_token_signed(world, liar, published):  # noqa: F811
    """A domain that it makes up: of another chain's money, perhaps."""
    selector = "0x3644e515"  # DOMAIN_SEPARATOR()

    def lie(params, truth):
        return OTHER if params[0].get("data", "").startswith(selector) else truth

    liar.begin(where("eth_call", lie))

    async def main():
        async with open_chain(world.task.chain, liar.url) as chain:
            desk = chain.settlement(WORKER.account)
            with pytest.raises(ChainError, match=r"a permit of .* that is not of this token on chain 1337"):
                await desk.submit(Deposit(Amount(1)))

    trio.run(main)
    assert "eth_sendRawTransaction" not in liar.asked
