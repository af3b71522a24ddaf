"""Permits of the test token, as its owners sign them."""

from __future__ import annotations

from eth_abi import encode
from eth_account import Account as Signer
from eth_utils import keccak

from p2pfd.core.ids import Account
from p2pfd.settlement.accounts import AccountKey

PERMIT = bytes(keccak(b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"))
DOMAIN = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"


def token_domain(chain_id: int, token: Account) -> bytes:
    """The EIP-712 domain of a token on a chain."""
    kinds = ["bytes32", "bytes32", "bytes32", "uint256", "address"]
    return bytes(keccak(encode(kinds, [keccak(DOMAIN), keccak(b"p2pfd test token"), keccak(b"1"), chain_id, token])))


def signed_permit(
    signer: AccountKey, domain: bytes, owner: Account, spender: Account, amount: int, nonce: int, deadline: int
) -> tuple[int, bytes, bytes]:
    """The three parts of a permit's signature."""
    kinds = ["bytes32", "address", "address", "uint256", "uint256", "uint256"]
    permit = encode(kinds, [PERMIT, owner, spender, amount, nonce, deadline])
    signed = Signer.unsafe_sign_hash(keccak(b"\x19\x01" + domain + keccak(permit)), signer.private)
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")
