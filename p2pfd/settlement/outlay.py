"""What taking part in a task takes of an account: tokens to bring, and gas, before anything is sent.

The gas is that of docs/reference/settlement.md, drawn as a line that lies above its rows: a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pfd.core.claims import Deposit, Enrol
from p2pfd.core.encounter_claims import Join
from p2pfd.core.ids import Amount
from p2pfd.core.spec import TaskSpec
from p2pfd.settlement import encounters
from p2pfd.settlement.contracts import gas_for

_DEPOSIT, _ENROL = 105_000, 160_000
_ROUND, _ROUND_OF_ALL, _SAMPLE, _CLASS_SAMPLE = 120_000, 160_000, 110, 10
_FIRST, _FIRST_SAMPLE = 25_000, 280
"""The first round writes where nothing has been written before."""
_JOIN = 75_000
_SIGNED, _BY_VOTE = (83_500, 11_000), (77_000, 89_000)
"""Of an encounter, and of each validator in its committee: where all sign, and where each vote is two transactions."""


@dataclass(frozen=True, slots=True)
class Outlay:
    """Tokens in their smallest unit, and units of gas."""

    tokens: Amount
    """What the wallet must hold; it is bound, or staked, and comes back to who does what was agreed."""
    begin: int
    """About the gas until the account has its seat."""
    reserve: int
    """The gas that the chain wants to see paid for, for that; what is not used stays there."""
    rounds: int
    """About the gas of all rounds, or of all encounters, a part of their settlement included."""
    worst: int = 0
    """The gas of all encounters, if in each of them somebody is silent and every vote goes on the chain by itself."""


def outlay_of(task: TaskSpec) -> Outlay:
    """What a task asks of a worker, or of a member where nodes meet."""
    terms = task.encounters
    if terms.own:
        whole = Amount(terms.stake + terms.bond + terms.own * terms.prepayment)
        reserve = encounters.gas_for(Deposit(Amount(1))) + encounters.gas_for(Join())
        # Each learns as often as it teaches: of one encounter it pays the opening, of another the settlement.
        usual, worst = (terms.own * (at + terms.size * more) for at, more in (_SIGNED, _BY_VOTE))
        return Outlay(whole, _DEPOSIT + _JOIN, reserve, usual, worst)
    reserve = gas_for(Deposit(Amount(1))) + gas_for(Enrol(task.id))
    samples = task.data.public
    each = _ROUND + _ROUND_OF_ALL // task.seats + samples * (_SAMPLE + _CLASS_SAMPLE * task.data.classes)
    return Outlay(task.money.bond, _DEPOSIT + _ENROL, reserve, task.rounds * each + _FIRST + samples * _FIRST_SAMPLE)
