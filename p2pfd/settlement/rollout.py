"""Deploying the contracts of a chain, one after another, in a way that can be cut off at any moment and gone on with.

A contract's address follows from the deployer and its nonce, and a nonce is used once. So nothing can be deployed twice as
long as what is signed is on disk before it is sent, and another nonce is taken only when the chain has spent the first on
something else.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rlp
import trio
from eth_abi import encode
from eth_account import Account as Signer
from eth_utils import keccak

from p2pfd.core.ids import Account, account, account_bytes
from p2pfd.errors import ChainError, DeadlineError, PlanError
from p2pfd.settlement import answers, contracts, deployments, refusals
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import artifact
from p2pfd.settlement.deployments import RECIPES, Attempt, Deployments, Entry, Recipe, Setting
from p2pfd.settlement.fees import FeePolicy, Offer
from p2pfd.settlement.refusals import Meaning
from p2pfd.settlement.rpc import Rpc, RpcRefusal

Tell = Callable[[str, str, Entry], None]
"""What happens to a contract: its name, a word, its entry."""
_SPARE = (6, 5)
"""Between an estimate of gas and the limit that is set."""
_LOOKS = 3
"""How often the chain must say that a nonce went to something else."""
_BASE_GAS, _CREATE_GAS, _GAS_A_BYTE, _CONSTRUCTOR_GAS = 21_000, 32_000, 200 + 16, 150_000


@dataclass(frozen=True, slots=True)
class Manner:
    """How to deploy: what to offer, how many blocks on top are enough, how often to look, and how long to wait."""

    fees: FeePolicy
    confirmations: int = 0
    look_seconds: float = 0.5
    resend_seconds: float = 5.0
    patience_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What is still to be deployed, and what that takes."""

    gas: dict[str, int]
    offer: Offer
    price: int
    """What a unit of gas costs now, tip and base fee."""
    funds: int

    @property
    def about(self) -> int:
        """What it will cost, in wei."""
        return sum(self.gas.values()) * self.price

    @property
    def most(self) -> int:
        """What it can cost, in wei."""
        return _spare(sum(self.gas.values())) * self.offer.fee


def artifact_digest(name: str) -> str:
    """The digest of the code that this release deploys."""
    return hashlib.sha256(artifact(name).bytecode).hexdigest()


def address_at(deployer: Account, nonce: int) -> Account:
    """Where a contract comes to stand that this account creates with this nonce."""
    return account("0x" + bytes(keccak(rlp.encode([account_bytes(deployer), nonce])))[-20:].hex())


async def begin(
    rpc: Rpc, path: Path, profile: str, settings: dict[str, int], token: Account | None, recipes: Sequence[Recipe]
) -> Deployments:
    """What the file says, with these settings; PlanError where that is another chain, or was set up in another way."""
    chain_id, first = await rpc.batch([("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False])])
    number = answers.height(chain_id, "a chain's id")
    genesis = "" if first is None else str(answers.record(first, "the first block").get("hash"))
    held = deployments.load(path)
    if held is None:
        held = Deployments(number, genesis, profile)
    another = "name another deployments file; or go on with what this one says"
    if held.chain_id != number:
        raise PlanError(f"{path} is about chain {held.chain_id}, and {rpc.url} is chain {number}", another)
    if held.genesis and genesis and held.genesis != genesis:
        raise PlanError(f"{path} is about another chain with the id {number}: their first blocks differ", another)
    taken = dict(held.settings)
    for recipe in recipes:
        for setting in recipe.arguments:
            if not isinstance(setting, Setting):
                continue
            wanted = settings.get(setting.name)
            if wanted is not None and taken.get(setting.name, wanted) != wanted:
                raise PlanError(f"{path} says {setting.name} {taken[setting.name]}, not {wanted}", another)
            if recipe.contract == "Token" and token is not None:
                continue
            taken.setdefault(setting.name, setting.default if wanted is None else wanted)
    if token is not None:
        there = held.contracts.get("Token")
        if there is not None and there.address != token:
            raise PlanError(f"{path} says that the token is {there.address}", another)
        if there is None:
            held = held.having("Token", Entry(token, "given"))
    return dataclasses.replace(held, settings=taken)


async def check_token(rpc: Rpc, token: Account, holder: Account) -> dict[str, int]:
    """What an existing token says of itself; PlanError where there is none that `p2pfd stake` could move."""
    of = contracts.token()
    calls = {
        "code": ("eth_getCode", [token, "latest"]),
        "decimals": _ask(token, of["decimals"].call()),
        "supply": _ask(token, of["totalSupply"].call()),
        "held": _ask(token, of["balanceOf"].call(holder)),
        "nonce": _ask(token, of["nonces"].call(holder)),
        "domain": _ask(token, of["DOMAIN_SEPARATOR"].call()),
    }
    found = dict(zip(calls, await rpc.several(list(calls.values())), strict=True))
    if isinstance(found["code"], RpcRefusal):
        raise found["code"]
    if not answers.octets(found["code"], "code"):
        raise PlanError(f"there is no contract at {token}", "check the token's address, and the chain's")
    for name, answer in found.items():
        if name != "code" and (isinstance(answer, RpcRefusal) or len(answers.octets(answer, name)) != 32):
            raise PlanError(
                f"{token} is no ERC-20 token with permit: it does not tell its {name}",
                "stakes are moved by permit (ERC-2612): take a token that has it",
            )
    return {name: int(found[name], 16) for name in ("decimals", "supply", "held")}


async def estimate(
    rpc: Rpc, deployer: Account, held: Deployments, manner: Manner, recipes: Sequence[Recipe] = RECIPES
) -> Cost:
    """What is left to do, and what it takes."""
    nonce_text, funds_text, head = await rpc.batch(
        [
            ("eth_getTransactionCount", [deployer, "pending"]),
            ("eth_getBalance", [deployer, "latest"]),
            ("eth_getBlockByNumber", ["latest", False]),
        ]
    )
    nonce = answers.height(nonce_text, "a nonce")
    offer = await manner.fees.quote(rpc)
    base = answers.number(answers.record(head, "the newest block").get("baseFeePerGas", "0x0"), "a base fee")
    gas: dict[str, int] = {}
    planned = held
    for recipe in recipes:
        entry = planned.contracts.get(recipe.contract)
        if entry is not None and entry.state in ("given", "done"):
            continue
        if entry is None or entry.state == "failed":
            planned = planned.having(recipe.contract, Entry(address_at(deployer, nonce), "sending"))
            nonce += 1
        gas[recipe.contract] = await _gas(rpc, deployer, recipe, planned)
    return Cost(gas, offer, min(base + offer.tip, offer.fee), answers.number(funds_text, "a balance"))


async def roll_out(
    rpc: Rpc,
    key: AccountKey,
    held: Deployments,
    path: Path,
    manner: Manner,
    tell: Tell,
    recipes: Sequence[Recipe] = RECIPES,
) -> Deployments:
    """Deploy what is not there yet, go on with what was begun, and check that what is done still stands.

    The caller holds `deployments.alone`.
    """
    for recipe in recipes:
        work = _Work(rpc, key, held, path, manner, tell, recipe)
        held = await work.run()
    return held


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look at the chain showed: the newest block, and what became of a deployment."""

    top: int
    included: bool = False
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
            await self._stands(entry)
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

    async def _stands(self, entry: Entry) -> None:
        code = answers.octets(await self._rpc.call("eth_getCode", entry.address, "latest"), "code")
        if not code:
            raise ChainError(
                f"{self._path} says that the {self._name} stands at {entry.address}, and the chain has nothing there",
                "is this the chain that the file is about? If it was undone there, name another deployments file",
            )

    async def _planned(self, failed: tuple[str, ...]) -> Entry:
        """An entry with the account's next nonce, signed, on disk, and not sent yet."""
        mine = self._key.account
        nonce = answers.height(await self._rpc.call("eth_getTransactionCount", mine, "pending"), "a nonce")
        arguments = _arguments(self._recipe, self._held)
        entry = Entry(
            address=address_at(mine, nonce),
            state="sending",
            artifact=artifact_digest(self._name),
            arguments="0x" + arguments.hex(),
            deployer=mine,
            nonce=nonce,
            failed=failed,
        )
        gas = _spare(await _gas(self._rpc, mine, self._recipe, self._held.having(self._name, entry)))
        return self._attempted(entry, gas, await self._manner.fees.quote(self._rpc))

    def _attempted(self, entry: Entry, gas: int, offer: Offer) -> Entry:
        transaction = {
            "type": 2,
            "chainId": self._held.chain_id,
            "nonce": entry.nonce,
            "to": "",
            "value": 0,
            "data": artifact(self._name).bytecode + bytes.fromhex(entry.arguments[2:]),
            "gas": gas,
            "maxFeePerGas": offer.fee,
            "maxPriorityFeePerGas": offer.tip,
        }
        raw = bytes(Signer.sign_transaction(transaction, self._key.private).raw_transaction)
        attempt = Attempt("0x" + bytes(keccak(raw)).hex(), "0x" + raw.hex(), gas, offer.tip, offer.fee)
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
            if now >= give_up:
                raise DeadlineError(
                    f"the {self._name} is not final after {self._manner.patience_seconds:g} s",
                    "run it again, it goes on where it stopped; does the account wait with another transaction?",
                )
            if now >= send_again and not seen.included:
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
        stands = bool(answers.octets(code, "code"))
        for tx, receipt in zip(hashes, receipts, strict=True):
            if receipt is not None:
                ended = self._as_told(entry, tx, answers.record(receipt, "a receipt"), top, stands)
                return _Seen(top, included=True, ended=ended)
        return _Seen(top, lost=answers.height(nonce, "a nonce") > entry.nonce and not stands)

    def _as_told(self, entry: Entry, tx: str, told: Mapping[str, Any], top: int, stands: bool) -> Entry | None:
        block = answers.height(told.get("blockNumber"))
        if top - block < self._manner.confirmations:
            return None
        good = answers.number(told.get("status"), "a status") == 1
        if good and not stands:
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
            gas = _spare(await _gas(self._rpc, entry.deployer, self._recipe, self._held))
            entry = self._attempted(entry, gas, await fees.quote(self._rpc))
        elif means is Meaning.CHEAP or (means in (None, Meaning.HELD) and await _base_fee(self._rpc) > last.fee):
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


def _arguments(recipe: Recipe, held: Deployments) -> bytes:
    kinds, values = [], []
    for argument in recipe.arguments:
        if isinstance(argument, Setting):
            kinds.append("uint256")
            values.append(held.settings[argument.name])
        else:
            kinds.append("address")
            values.append(held.contracts[argument].address)
    return bytes(encode(kinds, values))


async def _gas(rpc: Rpc, deployer: Account, recipe: Recipe, held: Deployments) -> int:
    """What a deployment uses. Where the chain cannot tell yet, because it needs one before it, it is counted."""
    data = artifact(recipe.contract).bytecode + _arguments(recipe, held)
    (told,) = await rpc.several([("eth_estimateGas", [{"from": deployer, "data": "0x" + data.hex()}])])
    if not isinstance(told, RpcRefusal):
        return answers.height(told, "an estimate of gas")
    return _BASE_GAS + _CREATE_GAS + _CONSTRUCTOR_GAS + _GAS_A_BYTE * len(data)


async def _base_fee(rpc: Rpc) -> int:
    head = answers.record(await rpc.call("eth_getBlockByNumber", "latest", False), "the newest block")
    return answers.number(head.get("baseFeePerGas", "0x0"), "a base fee")


def _spare(gas: int) -> int:
    return gas * _SPARE[0] // _SPARE[1]


def _ask(to: Account, data: bytes) -> tuple[str, list[object]]:
    return "eth_call", [{"to": to, "data": "0x" + data.hex()}, "latest"]
