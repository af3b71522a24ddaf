"""Packed labels and what binds an account to them: known answers, which the contracts must give too."""

from __future__ import annotations

import hashlib

import pytest

from p2pfd.core.ids import Account, RoundId, TaskId
from p2pfd.core.labels import BLANK, MAX_CLASSES, commitment, pack, packed_size, unpack
from p2pfd.errors import DecodeError

TASK = TaskId(bytes(range(32)))
WHO = Account("0x" + "ab" * 20)


def _nibble(packed: bytes, sample: int) -> int:
    """Read as a contract reads: one 256-bit word, shifted."""
    word = int.from_bytes(packed[32 * (sample // 64) : 32 * (sample // 64) + 32], "big")
    return word >> 4 * (sample % 64) & 15


@pytest.mark.parametrize(
    ("samples", "size"), [(0, 0), (1, 32), (63, 32), (64, 32), (65, 64), (128, 64), (200, 128), (1024, 512)]
)
def test_sizes(samples: int, size: int) -> None:
    assert packed_size(samples) == size
    assert len(pack(b"\0" * samples)) == size


def test_known_answers() -> None:
    assert pack(b"") == b""
    assert pack(b"\1").hex() == "f" * 63 + "1"
    assert pack(bytes([1, 2, 3])).hex() == "f" * 61 + "321"
    assert pack(bytes(range(15)) + b"\0" * 50).hex() == "0" * 49 + "edcba9876543210" + "f" * 63 + "0"


@pytest.mark.parametrize("samples", [1, 63, 64, 65, 200])
def test_every_sample_stands_where_a_contract_looks_for_it(samples: int) -> None:
    labels = bytes(sample * 7 % MAX_CLASSES for sample in range(samples))
    packed = pack(labels)
    assert bytes(_nibble(packed, sample) for sample in range(samples)) == labels
    assert all(_nibble(packed, sample) == BLANK for sample in range(samples, len(packed) * 2))
    assert unpack(packed, samples, MAX_CLASSES) == labels


@pytest.mark.parametrize("label", [15, 16, 255])
def test_labels_that_do_not_fit_are_not_packed(label: int) -> None:
    with pytest.raises(ValueError, match=f"label {label}"):
        pack(bytes([0, label]))


def test_no_labels_at_all() -> None:
    assert unpack(b"", 0, 10) == b""
    with pytest.raises(DecodeError, match="0 expected for 0 samples"):
        unpack(b"\xff" * 32, 0, 10)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(DecodeError, match=f"{length} bytes of labels, 32 expected for 5 samples"):
        unpack(b"\0" * length, 5, 10)


def test_a_label_that_is_no_class_is_refused() -> None:
    assert unpack(pack(bytes([0, 9])), 2, 10) == bytes([0, 9])
    with pytest.raises(DecodeError, match="label 9 is not one of 9 classes"):
        unpack(pack(bytes([0, 9])), 2, 9)


def test_a_blank_is_no_label() -> None:
    with pytest.raises(DecodeError, match="label 15 is not one of 15 classes"):
        unpack(pack(b"\1"), 2, 15)


@pytest.mark.parametrize("sample", [1, 2, 62, 63])
@pytest.mark.parametrize("value", [0, 1, 14])
def test_labels_behind_the_last_sample_are_refused(sample: int, value: int) -> None:
    word = int.from_bytes(pack(b"\1"), "big")
    word ^= (15 ^ value) << 4 * sample
    with pytest.raises(DecodeError, match="behind the last sample"):
        unpack(word.to_bytes(32, "big"), 1, 10)


def test_the_commitment_is_this_hash_of_these_bytes() -> None:
    packed = pack(bytes([3, 1, 4, 1, 5]))
    spelled = (
        "7032706664 2d6c6162656c73 2d31 000000000000000000000000000000000000"  # p2pfd-labels-1
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"  # the task
        "0000000000000000000000000000000000000000000000000000000000000102"  # round 258
        "000000000000000000000000abababababababababababababababababababab"  # the account
        "7373737373737373737373737373737373737373737373737373737373737373"  # the salt
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffff51413"  # the labels
    )
    found = commitment(TASK, RoundId(258), WHO, b"s" * 32, packed)
    assert found == hashlib.sha256(bytes.fromhex(spelled)).digest()
    assert found.hex() == "43b69b16327ca5aa176dc3d243c56f75fda5dd192c667d1a2e2a61b0850a869c"


def test_the_commitment_depends_on_everything() -> None:
    packed = pack(b"\1\2")
    found = {
        commitment(TASK, RoundId(1), WHO, b"s" * 32, packed),
        commitment(TaskId(b"t" * 32), RoundId(1), WHO, b"s" * 32, packed),
        commitment(TASK, RoundId(2), WHO, b"s" * 32, packed),
        commitment(TASK, RoundId(1), Account("0x" + "ac" * 20), b"s" * 32, packed),
        commitment(TASK, RoundId(1), WHO, b"S" * 32, packed),
        commitment(TASK, RoundId(1), WHO, b"s" * 32, pack(b"\2\1")),
    }
    assert len(found) == 6


@pytest.mark.parametrize("length", [0, 31, 33])
def test_parts_of_a_wrong_length_cannot_shift_into_one_another(length: int) -> None:
    with pytest.raises(ValueError, match="a salt is 32 bytes"):
        commitment(TASK, RoundId(1), WHO, b"s" * length, b"")
    with pytest.raises(ValueError, match="a task's id is 32 bytes"):
        commitment(TaskId(b"t" * length), RoundId(1), WHO, b"s" * 32, b"")
