import errno
import inspect
from pathlib import Path

import pytest

from p2pfd import errors
from p2pfd.cli import exits

PAGE = Path(__file__).parents[3] / "docs/reference/exit-codes.md"


def every_error():
    return [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.P2pfdError)]


@pytest.mark.parametrize("kind", every_error())
def test_every_error_has_a_code(kind):
    way = exits.of(kind("what", "fix"))
    assert way in exits.TABLE
    assert (way is exits.BUG) == (kind is errors.P2pfdError)


def test_codes_are_told_apart_and_fit_into_a_byte():
    codes = [way.code for way in exits.TABLE]
    assert len(set(codes)) == len(codes)
    assert all(0 <= code <= 125 or code == 130 for code in codes)


def test_the_page_holds_the_table():
    rows = [
        line.split("|")[1:4] for line in PAGE.read_text().splitlines() if line.startswith("| ") and line[2].isdigit()
    ]
    written = [(int(code), name.strip(), meaning.strip()) for code, name, meaning in rows]
    assert written == [(way.code, way.name, way.meaning) for way in exits.TABLE]


@pytest.mark.parametrize("number", [errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO])
def test_a_path_that_cannot_be_is_no_bug(number):
    error = exits.known(OSError(number, "no", "/some/path"))
    assert exits.of(error) is exits.MACHINE
    assert "/some/path" in error.what
    assert error.fix


def test_a_full_disk_is_the_machines_fault_and_has_a_way_out():
    error = exits.known(OSError(errno.ENOSPC, "No space left on device", "/disk/file"))
    assert error is not None
    assert exits.of(error) is exits.MACHINE
    assert "/disk/file" in error.what
    assert "free some space" in error.fix


def test_a_missing_package_is_the_machines_fault_unless_it_is_ours():
    error = exits.known(ModuleNotFoundError("No module named 'torch'", name="torch.nn"))
    assert error is not None
    assert "torch" in error.what
    assert exits.of(error) is exits.MACHINE
    assert exits.known(ModuleNotFoundError("No module named 'p2pfd.gone'", name="p2pfd.gone")) is None


def test_what_nobody_foresaw_is_a_bug():
    assert exits.known(ValueError("x")) is None
    assert exits.known(OSError(errno.EDOM, "strange")) is None
    assert exits.of(ValueError("x")) is exits.BUG
