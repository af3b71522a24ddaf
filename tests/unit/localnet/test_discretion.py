import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from p2pfd_localnet.discretion import check, secrets_of, spellings
from p2pfd_localnet.state import State

from p2pfd.errors import StorageError
from p2pfd.node import keys

SECRET = bytes(range(200, 232))
secrets = st.binary(min_size=32, max_size=32)


@given(secrets, st.binary(max_size=50), st.binary(max_size=50), st.booleans())
def test_a_secret_is_found_wherever_it_begins_in_base64(secret, before, after, urlsafe):
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    assert any(word in encode(before + secret + after) for word in spellings(secret))


@given(secrets, secrets)
def test_another_secret_is_not_taken_for_it(secret, other):
    text = base64.b64encode(other) + b" " + other.hex().encode() + b" " + other
    assert secret in (other, other[::-1]) or not any(word in text for word in spellings(secret) if len(word) > 8)


@pytest.mark.parametrize(
    "spelt",
    [SECRET, SECRET.hex().encode(), SECRET.hex().upper().encode(), b"0x" + SECRET.hex().encode(),
     str(int.from_bytes(SECRET, "big")).encode(), base64.b64encode(SECRET)],
    ids=["bytes", "hex", "HEX", "0x", "number", "base64"],
)  # fmt: skip
def test_a_file_that_holds_a_key_is_named(tmp_path, spelt):
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "innocent.txt").write_bytes(b"nothing")
    check(tmp_path, [SECRET])
    (folder / "told.log").write_bytes(b"the key is " + spelt + b".\n")
    with pytest.raises(StorageError, match=r"told\.log holds a key"):
        check(tmp_path, [SECRET])


def test_the_secrets_of_a_mesh_are_its_keys_and_what_opens_its_control(tmp_path):
    state = State(tmp_path)
    held = keys.throwaway(7, "node-0")
    keys.save(held, state.node("node-0") / "keys")
    (state.node("node-1")).mkdir()
    (tmp_path / "control.json").write_text('{"token": "open sesame"}')
    assert set(secrets_of(state)) == {held.peer_private, held.account.private, keys.secret(held), b"open sesame"}
    with pytest.raises(StorageError, match=r"keys\.json"):
        check(tmp_path / "nodes", secrets_of(state))
