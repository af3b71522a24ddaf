"""Whether every encounter paid by the rules is found out from the chain alone."""

from __future__ import annotations

import dataclasses

import pytest
import trio

from p2pfd.core.encounter_events import Defaulted, Opened, SeatLeft, Settled, Voided
from p2pfd.core.spec import ChainSpec
from p2pfd.settlement.abi import EventShape
from p2pfd.settlement.deploy import deploy, deploy_also, transfer
from p2pfd.settlement.embedded.ledger import Ledger
from p2pfd.settlement.embedded.methods import Methods
from p2pfd.settlement.embedded.store import Store
from p2pfd.settlement.encounter_history import closing_in, history
from p2pfd.settlement.encounters import interface
from p2pfd.settlement.encounters import papers as encounter_papers
from p2pfd.settlement.evm_encounters import EvmEncounters
from p2pfd.settlement.kinds import ENCOUNTERS, Contract
from p2pfd.settlement.sender import Sender
from p2pfd.settlement.watch import Watcher
from p2pfd.testing.encounter_play import EncounterPlay
from p2pfd.testing.stage import RULES, More, Stage
from tests.contracts.chain import BOSS, CHAIN_ID, key
from tests.unit.settlement.test_evm import CAPS, Direct

KEYS = [key(number) for number in range(1, 6)]


async def played() -> tuple[Direct, Contract, EvmEncounters]:
    """A chain on which everything has happened that can happen to an encounter."""
    now = [1_000]
    rpc = Direct(Methods(Ledger(Store(None), lambda: now[0], CHAIN_ID, {})))
    spec: ChainSpec = await deploy(rpc, BOSS, 10**9, RULES.unbond_seconds)
    contract = await deploy_also(rpc, BOSS, spec, ENCOUNTERS, dataclasses.asdict(RULES))
    await transfer(rpc, BOSS, spec, {who.account: 10_000 for who in KEYS})
    watcher = Watcher(rpc, contract, finality=0, interval=0.001)

    async def skip(seconds: int) -> None:
        await trio.lowlevel.checkpoint()
        now[0] += seconds

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watcher.run)
        desks = [EvmEncounters(rpc, watcher, spec, CAPS, who, Sender(rpc, who, CHAIN_ID), contract) for who in KEYS]
        more = More(KEYS, (), (), desks, spec.market)
        await EncounterPlay(Stage((), [who.account for who in KEYS], skip, more)).play()
        nursery.cancel_scope.cancel()
    return rpc, contract, desks[0]


async def test_every_end_is_recomputed_and_a_seat_has_what_the_chain_says(autojump_clock: object) -> None:
    rpc, contract, desk = await played()
    head = (await desk.now()).block
    entries = await history(rpc, contract, desk.papers, RULES.bond, head)
    ended = [entry for entry in entries if isinstance(entry.event, (Settled, Defaulted, Voided))]
    assert not [entry.problem for entry in ended if entry.problem]
    assert sum(isinstance(entry.event, Opened) for entry in entries) == len(ended) == 13
    votes = [entry.end for entry in ended if entry.end is not None]
    assert [end.verdict for end in votes] == [
        *("valid", "valid", "invalid", "valid"),
        *("valid", "invalid"),
        *("none", "valid", "valid", "valid"),
    ]
    for end in votes:
        assert end.right
        moved = end.learner + end.neighbor + sum(judge.change for judge in end.judges)
        assert moved == 2 * end.terms.prepayment, "no token is made or lost"
    silent = next(end for end in votes if end.verdict == "none")
    assert all(judge.vote is None and judge.change < 0 for judge in silent.judges)
    assert any(isinstance(entry.event, SeatLeft) for entry in entries)


async def test_a_chain_that_pays_otherwise_is_found_out(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    rpc, contract, desk = await played()
    head = (await desk.now()).block
    shapes = interface().events
    (settled,) = [shape for shape in shapes.values() if shape.name == "Settled"]
    plain = EventShape.values

    def one_more(shape: EventShape, topics: object, data: bytes) -> dict[str, object]:
        told = plain(shape, topics, data)  # type: ignore[arg-type]
        return told | {"outcome": told["outcome"] + (1 << 64)} if shape is settled else told

    monkeypatch.setattr(EventShape, "values", one_more)
    entries = await history(rpc, contract, desk.papers, RULES.bond, head)
    assert sum(bool(entry.problem) for entry in entries) == 10, "each neighbor has one unit too much"


def test_a_call_that_ends_nothing_says_nothing() -> None:
    papers = encounter_papers(1, KEYS[0].account)
    of = interface()
    for call in (b"", b"\0" * 3, of["join"].call(), of["settle"].selector + b"\1" * 40):
        assert closing_in(call, KEYS[0].account, 0, papers) is None
