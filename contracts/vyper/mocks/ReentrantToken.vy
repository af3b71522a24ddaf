# pragma version 0.4.3
"""
@title A token that calls back into whoever moves it, for tests alone
@license Apache-2.0
@notice It is an account of the market itself: it acts there by `act`, and again, from within, whenever the market moves tokens.
"""

market: public(address)
again: Bytes[1024]
inside: bool

# How often the market let it in while it was still busy, and how much it was paid.
let_in: public(uint256)
paid: public(uint256)


@external
def arm(market: address, again: Bytes[1024]):
    """
    @notice Say whom to call, and with what from within.
    """
    self.market = market
    self.again = again


@external
def act(call: Bytes[1024]):
    """
    @notice Call the market as this account.
    """
    raw_call(self.market, call)


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice Pretend that tokens came in.
    """
    self._call_back()
    return True


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice Note that tokens went out.
    """
    self.paid += amount
    self._call_back()
    return True


@internal
def _call_back():
    if self.inside:
        return
    self.inside = True
    if raw_call(self.market, self.again, revert_on_failure=False):
        self.let_in += 1
    self.inside = False
