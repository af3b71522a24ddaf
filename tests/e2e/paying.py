"""Who pays whom, and by what habits: what a test of payments and the process that it kills have in common."""

from __future__ import annotations

from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.fees import GWEI, FeePolicy
from p2pfd.settlement.habits import Habits

CHAIN_ID = 80_002
PAYER = AccountKey(b"\x07" * 32)
PAYEE = AccountKey(b"\x08" * 32)
GAS = 100_000
HABITS = Habits(
    finality=6,
    fees=FeePolicy(floor=25 * GWEI, most=2_000 * GWEI),
    look_seconds=0.1,
    resend_seconds=0.3,
    stuck_blocks=6,
    outage_seconds=30.0,
)
