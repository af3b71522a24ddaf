"""Who pays whom, and by what habits: what a test of payments and the process that it kills have in common."""

from __future__ import annotations

import dataclasses

from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.fees import GWEI, FeePolicy
from p2pfd.settlement.habits import Habits
from p2pfd.settlement.profiles import AMOY

CHAIN_ID = 80_002
PAYER = AccountKey(b"\x07" * 32)
PAYEE = AccountKey(b"\x08" * 32)
GAS = 100_000
DEPOSIT_EVERY = 20
"""One payment in so many is a deposit, through the settlement, with a permit."""
HABITS = Habits(
    finality=6,
    fees=FeePolicy(floor=25 * GWEI, most=2_000 * GWEI),
    look_seconds=0.1,
    resend_seconds=0.3,
    stuck_blocks=6,
    outage_seconds=30.0,
)
PROFILE = dataclasses.replace(AMOY, habits=HABITS, poll_seconds=1.0, patience=5.0)
