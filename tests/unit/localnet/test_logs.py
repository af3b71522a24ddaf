import os

from p2pfd_localnet.logs import shorten


def test_a_log_that_is_too_long_keeps_its_end_and_whoever_writes_it_goes_on(tmp_path):
    path = tmp_path / "output.log"
    writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(writer, b"a" * 100)
    assert not shorten(path, most=100, kept=10)
    os.write(writer, b"the end")
    assert shorten(path, most=100, kept=10)
    os.write(writer, b"more")
    os.close(writer)
    assert path.read_bytes() == b"more"
    assert (tmp_path / "output.1.log").read_bytes() == b"aaathe end"


def test_a_log_that_is_not_there_is_no_trouble(tmp_path):
    assert not shorten(tmp_path / "none.log")
