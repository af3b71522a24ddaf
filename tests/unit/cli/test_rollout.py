"""A deployment that is cut off at any moment is gone on with, and nothing is deployed twice."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
from importlib.resources import files
from pathlib import Path

import pytest
from eth_account import Account as Signer
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.errors import ChainError, DeadlineError, NotRunningError, PlanError
from p2pfd.node.keys import throwaway
from p2pfd.settlement import deployment_plan, deployments, rollout
from p2pfd.settlement.artifacts import artifact
from p2pfd.settlement.deployment_plan import Manner, address_at
from p2pfd.settlement.deployments import Attempt, Deployments, Entry, Recipe
from p2pfd.settlement.fees import FREE
from p2pfd.settlement.rpc import Rpc
from p2pfd.settlement.sender import Sender
from tests.unit.cli.chains import embedded

MANNER = Manner(FREE, look_seconds=0.01, resend_seconds=0.02, patience_seconds=20)
NUMBERS = itertools.count()
RECIPES = deployments.chosen(())


class Killed(BaseException):
    """The process is gone, as with kill -9: nothing after it runs."""


class MortalRpc(Rpc):
    """A connection on which the process dies at a certain exchange: before the chain hears of it, or after."""

    def __init__(self, url, dies_at=0, after=False):
        super().__init__(url)
        self.count, self.dies_at, self.after = 0, dies_at, after

    async def several(self, calls):
        self.count += 1
        if self.count == self.dies_at and not self.after:
            raise Killed
        answers = await super().several(calls)
        if self.count == self.dies_at:
            raise Killed
        return answers


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with embedded(tmp_path_factory.mktemp("chain"), [], 31_337) as found:
        yield found[0]


@pytest.fixture
def key():
    """An account that nobody else uses. Gas is free on this chain."""
    return throwaway(7, f"deployer-{next(NUMBERS)}").account


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deployments" / "31337.json"


async def run(rpc, key, path, manner=MANNER, recipes=RECIPES, tell=lambda name, word, entry: None, **wanted):
    token = wanted.pop("token", None)
    try:
        held = await deployment_plan.begin(rpc, path, "embedded", wanted, token, recipes)
        with deployments.alone(path):
            return await rollout.roll_out(rpc, key, held, path, manner, tell, recipes)
    finally:
        await rpc.aclose()


async def count(url, who):
    rpc = Rpc(url)
    try:
        return int(await rpc.call("eth_getTransactionCount", who.account, "latest"), 16)
    finally:
        await rpc.aclose()


async def test_everything_is_deployed_in_order_and_the_file_says_what(url, key, path):
    words = []
    held = await run(Rpc(url), key, path, tell=lambda name, word, entry: words.append((name, word)), supply=5)
    assert words == [("Token", "sent"), ("Token", "done"), ("LabelMarket", "sent"), ("LabelMarket", "done")]
    assert held == deployments.load(path)
    assert held.complete()
    token, market = (held.contracts[recipe.contract] for recipe in RECIPES)
    assert [token.address, market.address] == [address_at(key.account, nonce) for nonce in (0, 1)]
    assert (market.state, market.attempts, market.deployer) == ("done", (), key.account)
    assert token.address[2:] in market.arguments
    assert held.settings == {"supply": 5, "unbond_seconds": 86_400}
    rpc = Rpc(url)
    assert [await deployment_plan.problem(rpc, held, name) for name in held.contracts] == ["", ""]
    await rpc.aclose()


async def test_a_second_run_deploys_nothing(url, key, path):
    first = await run(Rpc(url), key, path)
    before = path.stat().st_mtime_ns
    assert await run(Rpc(url), key, path) == first
    assert await count(url, key) == 2
    assert path.stat().st_mtime_ns == before


async def test_killed_at_any_exchange_and_run_again_it_has_deployed_everything_once(url, tmp_path):
    rpc = MortalRpc(url)
    await run(rpc, throwaway(8, "whole").account, tmp_path / "whole" / "file.json")
    assert rpc.count > 8
    for at in range(1, rpc.count + 1):
        for after in (False, True):
            who = throwaway(8, f"{at}-{after}").account
            path = tmp_path / f"{at}-{after}" / "file.json"
            with pytest.raises(Killed):
                await run(MortalRpc(url, at, after), who, path)
            held = await run(Rpc(url), who, path)
            assert await count(url, who) == len(RECIPES), (at, after)
            assert [entry.state for entry in held.contracts.values()] == ["done"] * len(RECIPES)


async def test_a_nonce_that_went_to_something_else_is_told_from_one_that_is_under_way(url, key, path):
    with pytest.raises(Killed):  # signed and on disk, and never sent
        await _until_signed(url, key, path)
    rpc = Rpc(url)
    sender = Sender(rpc, key, 31_337)
    await sender.final(await sender.send(key.account, b"", 100_000))
    await rpc.aclose()
    held = await run(Rpc(url), key, path)
    assert held.contracts["Token"].nonce == 1
    assert await count(url, key) == 3


async def _until_signed(url, key, path):
    """Die before the first transaction is sent."""
    for at in itertools.count(1):
        try:
            await run(MortalRpc(url, at), key, path)
        except Killed:
            if path.exists():
                raise


async def test_a_deployment_that_failed_is_told_and_sent_anew(url, key, path):
    with pytest.raises(Killed):
        await _until_signed(url, key, path)
    held = deployments.load(path)
    poor = _resigned(held, key, gas=200_000)  # enough to be taken, not to create anything
    deployments.save(poor, path)
    with pytest.raises(ChainError, match="it failed: 0x") as caught:
        await run(Rpc(url), key, path)
    assert "run it again" in caught.value.fix
    assert deployments.load(path).contracts["Token"].state == "failed"
    held = await run(Rpc(url), key, path)
    assert held.complete()
    assert len(held.contracts["Token"].failed) == 1
    assert await count(url, key) == 3


async def test_what_the_chain_would_never_take_is_signed_anew_with_the_same_nonce(url, key, path):
    with pytest.raises(Killed):
        await _until_signed(url, key, path)
    deployments.save(_resigned(deployments.load(path), key, gas=40_000_000), path)  # more than a block holds
    held = await run(Rpc(url), key, path)
    assert held.contracts["Token"].nonce == 0
    assert await count(url, key) == 2


def _resigned(held, key, gas):
    entry = held.contracts["Token"]
    data = artifact("Token").bytecode + bytes.fromhex(entry.arguments[2:])
    fields = {"type": 2, "chainId": 31_337, "nonce": entry.nonce, "to": "", "value": 0, "data": data, "gas": gas}
    signed = Signer.sign_transaction(fields | {"maxFeePerGas": 0, "maxPriorityFeePerGas": 0}, key.private)
    raw = bytes(signed.raw_transaction)
    attempt = Attempt("0x" + bytes(keccak(raw)).hex(), "0x" + raw.hex(), gas, 0, 0)
    return held.having("Token", dataclasses.replace(entry, attempts=(attempt,)))


async def test_a_signed_transaction_that_is_none_is_told(url, key, path):
    with pytest.raises(Killed):
        await _until_signed(url, key, path)
    held = deployments.load(path)
    entry = held.contracts["Token"]
    for raw in ("0x02", "0x02c0", "0x02ffff"):
        wrong = dataclasses.replace(entry, attempts=(dataclasses.replace(entry.attempts[0], raw=raw),))
        deployments.save(held.having("Token", wrong), path)
        with pytest.raises(PlanError, match="no signed transaction"):
            await run(Rpc(url), key, path)


async def test_another_account_cannot_go_on_with_it(url, key, path):
    with pytest.raises(Killed):
        await _until_signed(url, key, path)
    with pytest.raises(PlanError, match="go on with that account"):
        await run(Rpc(url), throwaway(9, "other").account, path)


async def test_it_ends_in_time_when_the_chain_does_not_confirm(url, key, path):
    manner = dataclasses.replace(MANNER, confirmations=3, patience_seconds=0.1)
    with pytest.raises(DeadlineError, match="not final"):
        await run(Rpc(url), key, path, manner)
    held = await run(Rpc(url), key, path)
    assert await count(url, key) == len(held.contracts) == 2


async def test_a_file_about_another_chain_is_refused(url, key, path):
    await run(Rpc(url), key, path)
    held = deployments.load(path)
    for change, what in (({"chain_id": 5}, "is about chain 5"), ({"genesis": "0x" + "11" * 32}, "another chain")):
        deployments.save(dataclasses.replace(held, **change), path)
        with pytest.raises(PlanError, match=what):
            await run(Rpc(url), key, path)
    entry = dataclasses.replace(held.contracts["Token"], address="0x" + "22" * 20)
    deployments.save(held.having("Token", entry), path)
    with pytest.raises(ChainError, match="the chain has nothing there"):
        await run(Rpc(url), key, path)
    entry = dataclasses.replace(held.contracts["Token"], address=held.contracts["LabelMarket"].address)
    deployments.save(held.having("Token", entry), path)
    with pytest.raises(ChainError, match="something else stands there"):
        await run(Rpc(url), key, path)
    assert await count(url, key) == 2


async def test_other_settings_than_those_that_were_deployed_are_refused(url, key, path):
    await run(Rpc(url), key, path, unbond_seconds=60)
    with pytest.raises(PlanError, match="unbond_seconds 60, not 61"):
        await run(Rpc(url), key, path, unbond_seconds=61)
    with pytest.raises(PlanError, match="the token is 0x"):
        await run(Rpc(url), key, path, token="0x" + "11" * 20)
    assert (await run(Rpc(url), key, path, unbond_seconds=60)).complete()


async def test_a_market_for_a_token_that_is_there(url, key, path, tmp_path):
    first = await run(Rpc(url), key, path)
    token = first.contracts["Token"].address
    second = await run(Rpc(url), key, tmp_path / "second" / "file.json", token=token)
    assert (second.contracts["Token"].state, second.contracts["Token"].address) == ("given", token)
    assert "supply" not in second.settings
    assert await count(url, key) == 3
    rpc = Rpc(url)
    told = await deployment_plan.check_token(rpc, token, key.account)
    assert told == {"decimals": 6, "supply": 10**12, "held": 10**12}
    for wrong, what in ((first.contracts["LabelMarket"].address, "no ERC-20"), (key.account, "no contract at")):
        with pytest.raises(PlanError, match=what):
            await deployment_plan.check_token(rpc, wrong, key.account)
    await rpc.aclose()


async def test_everything_that_can_be_deployed_can_be(url, key, path):
    held = await run(Rpc(url), key, path, recipes=deployments.RECIPES)
    assert held.complete()
    rpc = Rpc(url)
    assert {await deployment_plan.problem(rpc, held, name) for name in held.contracts} == {""}
    wrong = dataclasses.replace(held, settings={**held.settings, "bond": 1})
    assert await deployment_plan.problem(rpc, wrong, "Encounters") == "its bond is 100000000, not 1"
    await rpc.aclose()


async def test_what_a_constructor_refuses_is_told_before_anything_is_signed(url, key, path):
    await run(Rpc(url), key, path)
    with pytest.raises(ChainError, match="would refuse the Encounters: registry: unbonds too soon"):
        await run(Rpc(url), key, path, recipes=deployments.RECIPES, longest=86_401)
    held = deployments.load(path)
    assert "Encounters" not in held.contracts
    assert await count(url, key) == len(held.contracts)


async def test_one_more_line_is_one_more_contract(url, key, path):
    await run(Rpc(url), key, path, recipes=RECIPES[:1])
    assert not deployments.load(path).complete()
    held = await run(Rpc(url), key, path)
    assert held.complete()
    assert await count(url, key) == 2


async def test_the_estimate_is_near_what_it_takes(url, key, path):
    rpc = Rpc(url)
    held = await deployment_plan.begin(rpc, path, "embedded", {}, None, RECIPES)
    cost = await deployment_plan.estimate(rpc, key.account, held, MANNER, RECIPES)
    await rpc.aclose()
    assert not path.exists()
    held = await run(Rpc(url), key, path)
    for name, entry in held.contracts.items():
        assert entry.gas <= cost.gas[name] <= entry.gas * 1.2
    assert (cost.about, cost.most, cost.funds) == (0, 0, 0)


async def test_two_at_a_time_do_not_get_in_each_others_way(path):
    with deployments.alone(path), pytest.raises(NotRunningError, match="another deployment"), deployments.alone(path):
        pass
    with deployments.alone(path):
        pass


# -- the file ----------------------------------------------------------------------------------------------------------

ENTRY = Entry("0x" + "11" * 20, "sending", nonce=3, attempts=(Attempt("0x" + "22" * 32, "0x02", 1, 2, 3),))
HELD = Deployments(80_002, "0x" + "33" * 32, "amoy", {"supply": 7}, {"Token": ENTRY})


def test_a_file_is_read_as_it_was_written(tmp_path):
    assert deployments.load(tmp_path / "none.json") is None
    deployments.save(HELD, tmp_path / "a.json")
    assert deployments.load(tmp_path / "a.json") == HELD
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2),
        (("chain_id",), "80002"),
        (("chain_id",), 2**300),
        (("more",), 1),
        (("settings",), []),
        (("settings", "supply"), True),
        (("contracts",), None),
        (("contracts", "Token"), {}),
        (("contracts", "Token", "address"), "0x11"),
        (("contracts", "Token", "state"), "perhaps"),
        (("contracts", "Token", "nonce"), -1),
        (("contracts", "Token", "attempts"), []),
        (("contracts", "Token", "attempts"), "0x"),
        (("contracts", "Token", "attempts", 0), {"tx": "0x"}),
        (("contracts", "Token", "attempts", 0, "raw"), "0xzz"),
        (("contracts", "Token", "attempts", 0, "tx"), "0x22"),
        (("contracts", "Token", "failed"), ["x"]),
        (("contracts", "Token", "arguments"), "text"),
    ],
)
def test_a_damaged_file_is_refused_with_its_reason(tmp_path, path, value):
    deployments.save(HELD, tmp_path / "a.json")
    whole = json.loads((tmp_path / "a.json").read_text())
    at = whole
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    (tmp_path / "a.json").write_text(json.dumps(whole))
    with pytest.raises(PlanError, match=r"a\.json: ") as caught:
        deployments.load(tmp_path / "a.json")
    assert caught.value.fix


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WHOLE = {"version": 1, **dataclasses.asdict(HELD)}


@given(st.sampled_from([*WHOLE]), st.sampled_from([None, *dataclasses.asdict(ENTRY)]), JSON)
def test_whatever_stands_in_a_place_it_is_read_or_told(tmp_path_factory, name, inner, value):
    changed = {**WHOLE, name: value}
    if inner is not None:
        changed = {**WHOLE, "contracts": {"Token": {**dataclasses.asdict(ENTRY), inner: value}}}
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(changed))
    with contextlib.suppress(PlanError):
        deployments.save(deployments.load(path), path)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b"{}"])
def test_other_bytes_are_refused(tmp_path, raw):
    (tmp_path / "a.json").write_bytes(raw)
    with pytest.raises(PlanError):
        deployments.load(tmp_path / "a.json")


def test_every_compiled_contract_can_be_deployed():
    compiled = {
        Path(entry.name).stem for entry in files("p2pfd.settlement.artifacts").iterdir() if ".json" in entry.name
    }
    assert {recipe.contract for recipe in deployments.RECIPES} == compiled, "one more contract is one more line"


def test_every_contract_comes_after_those_that_it_names():
    before = set()
    for recipe in deployments.RECIPES:
        assert isinstance(recipe, Recipe)
        assert {argument for argument in recipe.arguments if isinstance(argument, str)} <= before
        before.add(recipe.contract)


def test_what_a_contract_needs_comes_along():
    def names(*also, held=None):
        return [recipe.contract for recipe in deployments.chosen(also, held)]

    assert names() == ["Token", "LabelMarket"]
    assert names("OptimisticMarket") == ["Token", "LabelMarket", "Court", "OptimisticMarket"]
    assert names(held=HELD.having("Court", ENTRY)) == ["Token", "LabelMarket", "Court"]
