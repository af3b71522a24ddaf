"""Deploying the contracts of a chain, one after another, in a way that can be cut off at any moment and gone on with.

A contract's address follows from the deployer and its nonce, and a nonce is used once. So nothing can be deployed twice
as long as what is signed is on disk before it is sent, and another nonce is taken only when the chain has spent the
first on something else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rlp
import trio

from p2pfd.errors import ChainError, DeadlineError, PlanError
from p2pfd.settlement import answers, deployments, refusals
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import artifact
from p2pfd.settlement.deployment_plan import (
    Manner,
    address_at,
    arguments,
    artifact_digest,
    base_fee,
    gas_of,
    spare,
)
from p2pfd.settlement.deployments import Attempt, Deployments, Entry, Recipe
from p2pfd.settlement.fees import Offer
from p2pfd.settlement.keccak import keccak
from p2pfd.settlement.refusals import Meaning
from p2pfd.settlement.rpc import Rpc, RpcRefusal
from p2pfd.settlement.wallet import sign_transaction

Tell = Callable[[str, str, Entry], None]
"""What happens to a contract: its name, a word, its entry."""
_DATA_FIELD = 7
_LOOKS = 3
"""How often the chain must say that a nonce went to something else."""


async def roll_out(
    rpc: Rpc,
    key: AccountKey,
    held: Deployments,
    path: Path,
    manner: Manner,
    tell: Tell,
    recipes: Sequence[Recipe],
) -> Deployments:
    """Deploy what is not there yet, go on with what was begun, and check that what is done still stands.

    The caller holds `deployments.alone`.
    """
    for recipe in recipes:
        work = _Work(rpc, key, held, path, manner, tell, recipe)
        held = await work.run()
    return held


async def check(rpc: Rpc, held: Deployments, path: Path) -> None:
    """ChainError where the chain has nothing, or something else, at an address that the file names as done."""
    for name, entry in held.contracts.items():
        await _stands(rpc, name, entry, path)


async def _stands(rpc: Rpc, name: str, entry: Entry, path: Path) -> None:
    code = answers.octets(await rpc.call("eth_getCode", entry.address, "latest"), "code")
    if not code:
        raise ChainError(
            f"{path} says that the {name} stands at {entry.address}, and the chain has nothing there",
            "is this the chain that the file is about? if it was undone there, name another deployments file",
        )
    if entry.artifact == artifact_digest(name) and not artifact(name).made(code):
        raise ChainError(
            f"{path} says that the {name} of this release stands at {entry.address}, and something else stands there",
            "is this the chain that the file is about? use nothing there",
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look at the chain showed: the newest block, and what became of a deployment."""

    top: int
    included: bool = False
    stands: bool = False
    """Whether its nonce is spent and it is there, though no server has its receipt."""
    lost: bool = False
    """Whether its nonce seems to have gone to something else."""
    ended: Entry | None = None


class _Work:
    """One contract on its way."""

    def __init__(
        self, rpc: Rpc, key: AccountKey, held: Deployments, path: Path, manner: Manner, tell: Tell, recipe: Recipe
    ) -> None:
        self._rpc, self._key, self._held, self._path = rpc, key, held, path
        self._manner, self._tell, self._recipe = manner, tell, recipe
        self._name = recipe.contract

    async def run(self) -> Deployments:
        """The file's content once this contract stands."""
        entry = self._held.contracts.get(self._name)
        if entry is None or entry.state == "failed":
            entry = await self._planned(() if entry is None else entry.failed)
        if entry.state == "sending":
            await self._finished(entry)
        else:
            await _stands(self._rpc, self._name, entry, self._path)
            self._keep(entry)
            self._tell(self._name, "stands", entry)
        return self._held

    def _keep(self, entry: Entry) -> Entry:
        """On disk before anything else happens."""
        held = self._held.having(self._name, entry)
        if held != self._held or not self._path.exists():
            deployments.save(held, self._path)
        self._held = held
        return entry

    async def _planned(self, failed: tuple[str, ...]) -> Entry:
        """An entry with the account's next nonce, signed, on disk, and not sent yet."""
        mine = self._key.account
        nonce = await self._next_nonce()
        entry = Entry(
            address=address_at(mine, nonce),
            state="sending",
            artifact=artifact_digest(self._name),
            arguments="0x" + arguments(self._recipe, self._held).hex(),
            deployer=mine,
            nonce=nonce,
            failed=failed,
        )
        gas = spare(await gas_of(self._rpc, mine, self._recipe, self._held.having(self._name, entry)))
        return self._attempted(entry, gas, await self._manner.fees.quote(self._rpc))

    async def _next_nonce(self) -> int:
        """The first that nothing has used. Servers that are behind name earlier ones: the highest answer counts."""
        ours = [entry.nonce + 1 for entry in self._held.contracts.values() if entry.deployer == self._key.account]
        told = [
            await self._rpc.call("eth_getTransactionCount", self._key.account, tag)
            for tag in ("latest", "pending", "pending")
        ]
        return max(*ours, 0, *(answers.height(value, "a nonce") for value in told))

    def _attempted(self, entry: Entry, gas: int, offer: Offer) -> Entry:
        raw = sign_transaction(
            self._key.private,
            chain_id=self._held.chain_id,
            nonce=entry.nonce,
            tip=offer.tip,
            fee=offer.fee,
            gas=gas,
            target=None,
            data=_data_of(entry) or artifact(self._name).bytecode + bytes.fromhex(entry.arguments[2:]),
        )
        attempt = Attempt("0x" + keccak(raw).hex(), "0x" + raw.hex(), gas, offer.tip, offer.fee)
        return self._keep(dataclasses.replace(entry, attempts=(*entry.attempts, attempt)))

    async def _finished(self, entry: Entry) -> None:
        """Send, wait, and send again until it is final."""
        if entry.deployer != self._key.account:
            raise PlanError(
                f"{self._path} says that {entry.deployer} deploys the {self._name}, not {self._key.account}",
                "go on with that account, or name another deployments file",
            )
        entry = await self._sent(entry)
        self._tell(self._name, "sent", entry)
        give_up = trio.current_time() + self._manner.patience_seconds
        send_again = trio.current_time() + self._manner.resend_seconds
        lost: list[int] = []
        while True:
            seen = await self._look(entry)
            if seen.ended is not None:
                return self._ended(seen.ended)
            lost = [*lost, seen.top] if seen.lost else []
            if len(lost) >= _LOOKS and lost[-1] - lost[0] >= self._manner.confirmations:
                entry = await self._sent(await self._planned(entry.failed))
                self._tell(self._name, "sent", entry)
                lost = []
            now = trio.current_time()
            if now >= give_up and seen.stands:
                return self._ended(dataclasses.replace(entry, state="done", attempts=()))
            if now >= give_up:
                raise DeadlineError(
                    f"the {self._name} is not final after {self._manner.patience_seconds:g} s",
                    "run it again, it goes on where it stopped; does the account wait with another transaction?",
                )
            if now >= send_again and not (seen.included or seen.stands):
                entry = await self._sent(entry)
                send_again = now + self._manner.resend_seconds
            await trio.sleep(self._manner.look_seconds)

    def _ended(self, entry: Entry) -> None:
        self._keep(entry)
        self._tell(self._name, entry.state, entry)
        if entry.state == "failed":
            raise ChainError(
                f"the chain included the deployment of the {self._name}, and it failed: {entry.failed[-1]}",
                "run it again: it is sent anew; if that fails too, please report it",
            )

    async def _look(self, entry: Entry) -> _Seen:
        """What the chain says of it now, in one answer of one server."""
        hashes = [attempt.tx for attempt in entry.attempts]
        *receipts, nonce, code, head = await self._rpc.batch(
            [
                *(("eth_getTransactionReceipt", [tx]) for tx in hashes),
                ("eth_getTransactionCount", [entry.deployer, "latest"]),
                ("eth_getCode", [entry.address, "latest"]),
                ("eth_blockNumber", []),
            ]
        )
        top = answers.height(head)
        found = answers.octets(code, "code")
        ours = bool(found) and (entry.artifact != artifact_digest(self._name) or artifact(self._name).made(found))
        for tx, receipt in zip(hashes, receipts, strict=True):
            if receipt is not None:
                ended = self._as_told(entry, tx, answers.record(receipt, "a receipt"), top, ours)
                return _Seen(top, included=True, ended=ended)
        spent = answers.height(nonce, "a nonce") > entry.nonce
        return _Seen(top, stands=spent and ours, lost=spent and not ours)

    def _as_told(self, entry: Entry, tx: str, told: Mapping[str, Any], top: int, ours: bool) -> Entry | None:
        block = answers.height(told.get("blockNumber"))
        if top - block < self._manner.confirmations:
            return None
        good = answers.number(told.get("status"), "a status") == 1
        if good and not ours:
            return None  # one part of that server is behind another
        included = dataclasses.replace(
            entry,
            attempts=(),
            tx=tx,
            block=block,
            block_hash=str(told.get("blockHash")),
            gas=answers.height(told.get("gasUsed"), "gas"),
            price=answers.number(told.get("effectiveGasPrice", "0x0"), "a price"),
        )
        if good:
            return dataclasses.replace(included, state="done")
        return dataclasses.replace(included, state="failed", failed=(*entry.failed, tx))

    async def _sent(self, entry: Entry) -> Entry:
        """Have the chain take it, or an offer that it takes of the same."""
        last = entry.attempts[-1]
        refusal = await self._refused(last)
        means = None if refusal is None else refusals.meaning(refusal)
        fees = self._manner.fees
        if means is Meaning.UNFIT:
            gas = spare(await gas_of(self._rpc, entry.deployer, self._recipe, self._held))
            entry = self._attempted(entry, gas, await fees.quote(self._rpc))
        elif means is Meaning.CHEAP or (means in (None, Meaning.HELD) and await base_fee(self._rpc) > last.fee):
            offer = fees.raised(Offer(last.tip, last.fee), await fees.quote(self._rpc))
            if offer is None:
                return entry
            entry = self._attempted(entry, last.gas, offer)
        else:
            return entry
        again = await self._refused(entry.attempts[-1])
        if again is not None and refusals.meaning(again) is Meaning.UNFIT:
            raise again
        return entry

    async def _refused(self, attempt: Attempt) -> RpcRefusal | None:
        try:
            await self._rpc.call("eth_sendRawTransaction", attempt.raw)
        except RpcRefusal as refusal:
            return refusal
        return None


def _data_of(entry: Entry) -> bytes:
    """What the last attempt sends: another one sends the same, even if this release has another artifact by now."""
    if not entry.attempts:
        return b""
    try:
        fields = rlp.decode(bytes.fromhex(entry.attempts[-1].raw[4:]))  # behind the type's byte
        return bytes(fields[_DATA_FIELD])
    except (rlp.DecodingError, IndexError, TypeError) as error:
        raise PlanError(
            f"the deployments file has no signed transaction for {entry.address}", "restore it from version control"
        ) from error
