"""Before anything is deployed: what a deployments file means for this chain, what is left to do, and what it costs."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import rlp
from eth_abi import encode

from p2pfd.core.ids import Account, account, account_bytes
from p2pfd.errors import ChainError, PlanError
from p2pfd.settlement import answers, contracts, deployments
from p2pfd.settlement.abi import Interface, reason
from p2pfd.settlement.artifacts import artifact
from p2pfd.settlement.deployments import RECIPES, Deployments, Entry, Recipe, Setting
from p2pfd.settlement.fees import FeePolicy, Offer
from p2pfd.settlement.keccak import keccak
from p2pfd.settlement.rpc import Rpc, RpcRefusal

_SPARE = (6, 5)
"""Between an estimate of gas and the limit that is set."""
ANOTHER = "name another deployments file, with --deployments; or go on with what this one says"
_LATELY = 32
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
    base: int
    """What every unit of gas costs now, tip not counted."""
    funds: int

    @property
    def price(self) -> int:
        """What a unit of gas costs now, tip and base fee."""
        return min(self.base + self.offer.tip, self.offer.fee)

    @property
    def about(self) -> int:
        """What it will cost, in wei."""
        return sum(self.gas.values()) * self.price

    @property
    def most(self) -> int:
        """What it can cost, in wei."""
        return spare(sum(self.gas.values())) * self.offer.fee


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
    held = deployments.load(path)
    if held is None:
        held = Deployments(*await _identity(rpc), profile)
    else:
        await recognise(rpc, held, path)
    taken = dict(held.settings)
    there = held.contracts.get("Token")
    given = token is not None or (there is not None and there.state == "given")
    for recipe in recipes:
        for setting in recipe.arguments:
            if not isinstance(setting, Setting):
                continue
            wanted = settings.get(setting.name)
            if wanted is not None and taken.get(setting.name, wanted) != wanted:
                raise PlanError(f"{path} says {setting.name} {taken[setting.name]}, not {wanted}", ANOTHER)
            if recipe.contract == "Token" and given:
                continue
            taken.setdefault(setting.name, setting.default if wanted is None else wanted)
    if token is not None:
        if there is not None and there.address != token:
            raise PlanError(f"{path} says that the token is {there.address}", ANOTHER)
        if there is None:
            held = held.having("Token", Entry(token, "given"))
    return dataclasses.replace(held, settings=taken)


async def recognise(rpc: Rpc, held: Deployments, path: Path) -> None:
    """PlanError unless this is the chain that the file is about."""
    number, genesis = await _identity(rpc)
    if held.chain_id != number:
        raise PlanError(f"{path} is about chain {held.chain_id}, and {rpc.url} is chain {number}", ANOTHER)
    if held.genesis and genesis and held.genesis != genesis:
        raise PlanError(f"{path} is about another chain with the id {number}: their first blocks differ", ANOTHER)


async def _identity(rpc: Rpc) -> tuple[int, str]:
    """The chain's id and the hash of its first block, which some servers no longer have."""
    chain_id, first = await rpc.several([("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False])])
    if isinstance(chain_id, RpcRefusal):
        raise chain_id
    genesis = ""
    if first is not None and not isinstance(first, RpcRefusal):
        genesis = "0x" + answers.digest(answers.record(first, "the first block").get("hash"), "its hash").hex()
    return answers.height(chain_id, "a chain's id"), genesis


async def problem(rpc: Rpc, held: Deployments, name: str) -> str:
    """What is wrong with what stands where the file says that this contract stands; empty if all is as it should be."""
    entry = held.contracts[name]
    code = answers.octets(await rpc.call("eth_getCode", entry.address, "latest"), "code")
    if not code:
        return "there is no contract" + {"sending": " yet", "failed": ": its deployment failed"}.get(entry.state, "")
    if entry.state == "given":
        return ""
    if name not in {recipe.contract for recipe in RECIPES}:
        return "a contract that this release does not know"
    if not artifact(name).made(code):
        return f"another contract, or one of another release: not the {name} of this one"
    return await _misset(rpc, held, name)


async def _misset(rpc: Rpc, held: Deployments, name: str) -> str:
    """A constant of the contract that is not what the file says, where the contract tells its constants."""
    of = Interface.of(artifact(name))
    told = {entry["name"] for entry in artifact(name).abi if entry.get("type") == "function" and not entry["inputs"]}
    for argument in next((recipe.arguments for recipe in RECIPES if recipe.contract == name), ()):
        getter = argument.name if isinstance(argument, Setting) else argument.lower()
        if getter not in told:
            continue
        function = of[getter]
        answer = await rpc.call("eth_call", *_ask(held.contracts[name].address, function.call())[1])
        (found,) = function.answer(answers.octets(answer, getter))
        wanted = held.settings[argument.name] if isinstance(argument, Setting) else held.contracts[argument].address
        if (found if isinstance(argument, Setting) else account(found)) != wanted:
            return f"its {getter.replace('_', ' ')} is {found}, not {wanted}"
    return ""


async def strays(rpc: Rpc, deployer: Account, held: Deployments) -> dict[Account, str]:
    """Contracts of this release that the account made lately and that the file does not list: was a file lost?"""
    nonce = answers.height(await rpc.call("eth_getTransactionCount", deployer, "latest"), "a nonce")
    listed = {entry.address for entry in held.contracts.values()}
    made = [address_at(deployer, number) for number in range(max(0, nonce - _LATELY), nonce)]
    wanted = [address for address in made if address not in listed]
    codes = await rpc.batch([("eth_getCode", [address, "latest"]) for address in wanted]) if wanted else []
    found = {address: answers.octets(code, "code") for address, code in zip(wanted, codes, strict=True)}
    names = [recipe.contract for recipe in RECIPES]
    return {address: name for address, code in found.items() for name in names if artifact(name).made(code)}


async def check_token(rpc: Rpc, token: Account, holder: Account) -> dict[str, int]:
    """What an existing token says of itself; PlanError where there is none that `p2pfd stake` could move."""
    of = contracts.token()
    calls: dict[str, tuple[str, Sequence[object]]] = {
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


async def estimate(rpc: Rpc, deployer: Account, held: Deployments, manner: Manner, recipes: Sequence[Recipe]) -> Cost:
    """What is left to do, and what it takes."""
    nonce_text, funds_text = await rpc.batch(
        [("eth_getTransactionCount", [deployer, "pending"]), ("eth_getBalance", [deployer, "latest"])]
    )
    nonce = answers.height(nonce_text, "a nonce")
    offer = await manner.fees.quote(rpc)
    base = await base_fee(rpc)
    gas: dict[str, int] = {}
    planned = held
    for recipe in recipes:
        entry = planned.contracts.get(recipe.contract)
        if entry is not None and entry.state in ("given", "done"):
            continue
        if entry is None or entry.state == "failed":
            planned = planned.having(recipe.contract, Entry(address_at(deployer, nonce), "sending"))
            nonce += 1
        gas[recipe.contract] = await gas_of(rpc, deployer, recipe, planned)
    return Cost(gas, offer, base, answers.number(funds_text, "a balance"))


def arguments(recipe: Recipe, held: Deployments) -> bytes:
    """What stands behind the code in a deployment: the constructor's arguments."""
    kinds: list[str] = []
    values: list[object] = []
    for argument in recipe.arguments:
        if isinstance(argument, Setting):
            kinds.append("uint256")
            values.append(held.settings[argument.name])
        else:
            kinds.append("address")
            values.append(held.contracts[argument].address)
    return bytes(encode(kinds, values))


async def gas_of(rpc: Rpc, deployer: Account, recipe: Recipe, held: Deployments) -> int:
    """What a deployment uses. Where the chain cannot tell yet, because it needs one before it, it is counted."""
    data = artifact(recipe.contract).bytecode + arguments(recipe, held)
    (told,) = await rpc.several([("eth_estimateGas", [{"from": deployer, "data": "0x" + data.hex()}])])
    if not isinstance(told, RpcRefusal):
        return answers.height(told, "an estimate of gas")
    needed = [held.contracts[name].state for name in recipe.arguments if isinstance(name, str)]
    if told.data and {"given", "done"} >= set(needed):
        raise ChainError(
            f"the chain would refuse the {recipe.contract}: {reason(told.data)}", "other settings may be what it needs"
        ) from told
    return _BASE_GAS + _CREATE_GAS + _CONSTRUCTOR_GAS + _GAS_A_BYTE * len(data)


async def base_fee(rpc: Rpc) -> int:
    """The chain's price of a unit of gas now, tip not counted."""
    head = answers.record(await rpc.call("eth_getBlockByNumber", "latest", False), "the newest block")
    return answers.number(head.get("baseFeePerGas", "0x0"), "a base fee")


def spare(gas: int) -> int:
    """A limit of gas above an estimate."""
    return gas * _SPARE[0] // _SPARE[1]


def _ask(to: Account, data: bytes) -> tuple[str, Sequence[object]]:
    return "eth_call", [{"to": to, "data": "0x" + data.hex()}, "latest"]
