"""Questions as an endpoint understands them that is some blocks behind."""

from __future__ import annotations

from typing import Any

_AT = {"eth_getTransactionCount": 1, "eth_call": 1, "eth_getBalance": 1, "eth_getCode": 1, "eth_getBlockByNumber": 0}
_NEWEST = ("latest", "pending")


def as_of(head: int, method: str, params: list[Any]) -> list[Any] | None:
    """The params that make a healthy endpoint answer as if its newest block were ``head``; None: it knows nothing."""
    if method == "eth_getLogs" and params and isinstance(params[0], dict) and "blockHash" not in params[0]:
        wanted = dict(params[0])
        if _number(wanted.get("fromBlock", "latest"), head) > head:
            return None
        wanted["toBlock"] = hex(min(_number(wanted.get("toBlock", "latest"), head), head))
        return [wanted]
    at = _AT.get(method)
    if at is None or len(params) <= at:
        return params
    if params[at] in _NEWEST:
        return [*params[:at], hex(head), *params[at + 1 :]]
    if _number(params[at], head) > head and method == "eth_getBlockByNumber":
        return None
    return params


def _number(tag: Any, head: int) -> int:
    try:
        return int(tag, 16)
    except (TypeError, ValueError):
        return 0 if tag == "earliest" else head
