# pragma version 0.4.3
"""
@title A test token: ERC-20 with permit, six decimals, its whole supply minted once
@license Apache-2.0
@notice Any ERC-20 without fees on transfer may take its place. Minting, burning by others and ownership are not exposed, so
        the supply is what the deployer got.
"""
from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from snekmate.auth import ownable
from snekmate.tokens import erc20

implements: IERC20
implements: IERC20Detailed

initializes: ownable
initializes: erc20[ownable := ownable]

exports: (
    erc20.transfer,
    erc20.approve,
    erc20.transferFrom,
    erc20.permit,
    erc20.balanceOf,
    erc20.allowance,
    erc20.totalSupply,
    erc20.nonces,
    erc20.name,
    erc20.symbol,
    erc20.decimals,
    erc20.DOMAIN_SEPARATOR,
    erc20.eip712Domain,
)


@deploy
def __init__(supply: uint256):
    """
    @notice Give the deployer everything there will ever be.
    @param supply The supply in the smallest unit, a millionth of a token.
    """
    ownable.__init__()
    erc20.__init__("p2pfd test token", "PFD", 6, "p2pfd test token", "1")
    erc20._mint(msg.sender, supply)
