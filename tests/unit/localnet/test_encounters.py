"""Encounters as they are shown: folded from what learner, neighbor and validators tell, in any order, once or twice."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from p2pfd_localnet.encounters import KEPT, STEPS, Encounters, end_plain, key_of
from p2pfd_localnet.encounterview import EncounterView
from p2pfd_localnet.events import NodeEvent

from p2pfd.core import encounter_events as told
from p2pfd.core.encounter_claims import EncounterTerms
from p2pfd.core.ids import Account, Amount
from p2pfd.incentives.encounter_audit import End, Judge
from p2pfd.settlement.encounter_history import Entry

WHO = [Account(f"0x{place + 10:040x}") for place in range(5)]
NAMES = {str(who): f"node-{place}" for place, who in enumerate(WHO)}
TERMS = EncounterTerms(WHO[0], WHO[1], Amount(1_000), 1, 2, 1, 60, 700_000, 3)
KEY = f"{TERMS.key:x}"


def event(name: str, node: int, t: int = 5_000, **fields: object) -> NodeEvent:
    return NodeEvent(t, f"node-{node}", name, {"part": f"{name.partition('.')[0]}-{KEY}", **fields})


STORY = [
    event("learner.opened", 0, 1_000, neighbor=WHO[1], prepayment=1_000),
    event("neighbor.opened", 1, 2_000, learner=WHO[0], prepayment=1_000),
    *(event("validator.drawn", 2 + place, 3_000, learner=WHO[0], neighbor=WHO[1], place=place) for place in range(3)),
    event("validator.judged", 2, good=True, before=500_000, after=600_000),
    event("validator.judged", 3, good=True, before=500_000, after=610_000),
    event("validator.judged", 4, good=False, before=500_000, after=400_000),
    event("neighbor.over", 1, end="settled", got=1_700),
    event("learner.settled", 0, 9_000, accepted=True, neighbor=WHO[1]),
    event("learner.learnt", 0, accuracy=0.6, weights="ab"),
]


def shown(events: list[NodeEvent]) -> dict[str, Any]:
    met = Encounters(3)
    for each in events:
        met.take(each, NAMES)
    found = met.get(KEY)
    assert found is not None
    return found.to_plain()


def test_an_encounter_goes_through_its_nine_steps() -> None:
    steps = [shown(STORY[: end + 1])["step"] for end in range(len(STORY))]
    assert len(STEPS) == 9
    assert steps == [2, 3, 4, 4, 4, 5, 5, 6, 8, 8, 9]
    whole = shown(STORY)
    assert (whole["learner"], whole["neighbor"], whole["nth"], whole["state"]) == ("node-0", "node-1", 2, "accepted")
    assert (whole["began"], whole["ended"], whole["accuracy"]) == (1, 9, 0.6)
    assert whole["seats"] == [
        [0, "node-2", True, 0.5, 0.6],
        [1, "node-3", True, 0.5, 0.61],
        [2, "node-4", False, 0.5, 0.4],
    ]


def test_told_twice_or_by_others_first_it_is_the_same_encounter() -> None:
    assert shown([*STORY, *STORY]) == shown(STORY)
    late = [STORY[2], STORY[1], STORY[0], *STORY[3:]]
    assert shown(late) == shown(STORY)


@pytest.mark.parametrize("end", ["voided", "defaulted"])
def test_an_end_without_votes(end: str) -> None:
    whole = shown([STORY[0], event("learner.over", 0, 7_000, end=end, got=1_000)])
    assert (whole["state"], whole["ended"]) == (end, 7)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("learner.opened", {"part": "validator-1"}),
        ("learner.opened", {"part": "learner-"}),
        ("learner.opened", {"part": "learner-xyz"}),
        ("learner.opened", {"part": "learner--5"}),
        ("learner.opened", {"part": "learner-" + "f" * 65}),
        ("learner.opened", {"part": 7}),
        ("learner.over", {"part": "learner-1"}),
        ("round.opened", {"part": "round-1"}),
    ],
    ids=str,
)
def test_what_names_no_encounter_is_none(name: str, fields: dict[str, object]) -> None:
    assert Encounters(3).take(NodeEvent(1, "node-0", name, fields), NAMES) == ""


def test_strange_places_and_figures_are_passed_over() -> None:
    met = Encounters(3)
    for place in (-1, 3, 10**30):
        met.take(event("validator.drawn", 2, learner="?", neighbor=None, place=place), NAMES)
    met.take(event("validator.judged", 2, good=1, before="x", after=None), NAMES)
    found = met.get(KEY)
    assert found is not None
    assert found.seats == {}


def test_the_first_are_forgotten_first() -> None:
    met = Encounters(3)
    for number in range(KEPT + 5):
        met.take(NodeEvent(1, "node-0", "learner.opened", {"part": f"learner-{number:x}"}), NAMES)
    assert met.get("4") is None
    assert met.get("5") is not None


# -- what the chain tells ----------------------------------------------------------------------------------------------


def ended() -> End:
    votes = zip(WHO[2:], (True, True, False), (200, 150, -50), strict=True)
    judges = tuple(Judge(seat, who, vote, (1, 0), 1, 2, 3, paid) for seat, (who, vote, paid) in enumerate(votes))
    return End(TERMS, judges, 0, 1_700, 0, 1_700)


class Wall:
    """What a picture is told."""

    def __init__(self) -> None:
        self.blocks: dict[int, list[str]] = {}
        self.paid: dict[str, Any] = {}

    def block(self, number: int, lines: list[str]) -> None:
        self.blocks[number] = lines

    def pay(self, key: str, plain: dict[str, Any]) -> None:
        self.paid[key] = plain


async def test_blocks_and_payments_of_a_contract_of_encounters() -> None:
    wall = Wall()
    view = EncounterView(dict(zip(WHO, NAMES.values(), strict=True)), wall)  # type: ignore[arg-type]
    tx = bytes(32)
    events = [
        told.SeatTaken(4, WHO[2]),
        told.Opened(TERMS.key, 4),
        told.Drawn(TERMS.key, 1),
        told.Committed(TERMS.key, 0, b""),
        told.Reported(TERMS.key, b"", 1, ()),
        told.SeatLeft(4),
        told.SeatBack(4),
        told.SeatVacated(4),
        told.SeatVacated(9),
    ]
    for block, each in enumerate(events):
        await view.take(block, Entry(block, tx, each))
    await view.take(20, Entry(20, tx, told.Settled(TERMS.key, 0), TERMS, ended()))
    await view.take(20, Entry(20, tx, told.Defaulted(TERMS.key, 700), TERMS))
    await view.take(20, Entry(20, tx, told.Voided(TERMS.key), TERMS))
    await view.take(21, Entry(21, tx, told.Settled(TERMS.key, 0), problem="it cannot be read"))
    lines = list(itertools.chain.from_iterable(wall.blocks.values()))
    assert lines == [
        "node-2 takes seat 4",
        "node-0 opens an encounter",
        "the committee of node-0 is fixed",
        "votes on what node-0 got go on chain",
        "node-2 leaves seat 4",
        "node-2 is back in seat 4",
        "node-2 gives up seat 4",
        "? gives up seat 9",
        "node-0 and node-1 settle: accepted, the neighbor +0.00",
        "node-0 and node-1: nothing was delivered, 0.00 damages",
        "node-0 and node-1: too few validators, both have theirs back",
        "an encounter of node-0 ends: it cannot be read",
    ]
    assert wall.paid[KEY] == {**end_plain(ended(), NAMES), "block": 20, "tx": "0x" + "0" * 64}
    assert key_of(ended()) == KEY


def test_what_an_encounter_paid_is_told_with_its_sums() -> None:
    plain = end_plain(ended(), NAMES)
    assert plain["paid"] == [700, -1_000]
    assert (plain["share"], plain["rule"], plain["verdict"], plain["right"]) == (700, "serum", "valid", True)
    assert plain["judges"][2] == {
        "node": "node-4",
        "vote": False,
        "before": [1, 0],
        "matches": 1,
        "worth": 2e-6,
        "score": 3e-6,
        "change": -50,
    }
