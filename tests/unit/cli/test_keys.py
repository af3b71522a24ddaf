"""`p2pfd keys`: passphrases from a file, the environment or a terminal; keys that nobody sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from p2pfd.cli import passphrase
from p2pfd.cli.program import PROGRAM
from p2pfd.node import keys, keystore
from p2pfd.node.keys import throwaway
from p2pfd.settlement import keyfile
from tests.unit.cli.terminal import PROGRAM_ALONE, typed

ALICE = throwaway(1, "alice")
PHRASE, OTHER = "correct horse", "battery staple"
LIGHT = ("--work", "1")


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    monkeypatch.delenv("P2PFD_PASSPHRASE", raising=False)
    monkeypatch.delenv("P2PFD_NEW_PASSPHRASE", raising=False)
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield


@pytest.fixture
def phrases(tmp_path):
    for name, text in (("phrase", PHRASE + "\n"), ("other", OTHER), ("short", "seven77\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return tmp_path


@pytest.fixture
def home(tmp_path):
    keystore.create(ALICE, tmp_path / "home" / "keys", PHRASE, work=2)
    return tmp_path / "home"


@pytest.fixture
def ask(capsys, tmp_path):
    def run(*words, code=0, at="home"):
        assert PROGRAM.main(["keys", *words, "--home", str(tmp_path / at), "--json"]) == code
        seen = capsys.readouterr()
        return json.loads(seen.out)

    return run


def test_new_keys_are_made_encrypted_and_shown_by_name(ask, phrases):
    made = ask("new", "--passphrase-file", str(phrases / "phrase"), *LIGHT)
    mine = keystore.unlock(phrases / "home" / "keys", PHRASE)
    assert made == {
        "schema": 1,
        "peer": mine.peer,
        "account": mine.account.account,
        "encrypted": True,
        "plain_beside": False,
    }
    assert ask("show") == made


def test_the_work_is_the_standards_unless_it_is_said(ask, phrases):
    ask("new", "--passphrase-file", str(phrases / "phrase"))
    held = json.loads((phrases / "home" / "keys" / keys.ENCRYPTED_FILE).read_text())
    assert held["crypto"]["kdfparams"] | {"salt": ""} == {"dklen": 32, "n": 262_144, "r": 8, "p": 1, "salt": ""}


def test_the_environment_will_do_and_a_file_comes_first(ask, phrases, monkeypatch):
    monkeypatch.setenv("P2PFD_PASSPHRASE", OTHER)
    ask("new", *LIGHT)
    ask("new", "--passphrase-file", str(phrases / "phrase"), *LIGHT, at="second")
    monkeypatch.setenv("P2PFD_PASSPHRASE", os.fsdecode(b"\xff" * 9))
    assert "not text" in ask("new", *LIGHT, code=2, at="third")["error"]["what"]
    keystore.unlock(phrases / "home" / "keys", OTHER)
    keystore.unlock(phrases / "second" / "keys", PHRASE)


def test_without_a_terminal_and_a_passphrase_it_ends_at_once(ask, phrases, home):
    for words, at in (
        (("new",), "second"),
        (("export", str(phrases / "out")), "home"),
        (("change-passphrase",), "home"),
    ):
        error = ask(*words, code=2, at=at)["error"]
        assert "no terminal" in error["what"]
        assert "--passphrase-file FILE" in error["fix"]
    assert not (phrases / "second").exists()


@pytest.mark.parametrize("name", ["short", "other"])
def test_a_wrong_or_short_passphrase_ends_with_2(ask, phrases, home, name):
    words = ("--passphrase-file", str(phrases / name))
    assert ask("export", str(phrases / "out"), *words, code=2)["error"]["what"].startswith(
        "the passphrase does not open"
    )
    assert not (phrases / "out").exists()
    if name == "short":
        assert "at least 8" in ask("new", *words, code=2, at="second")["error"]["fix"]


def test_keys_that_are_there_are_never_replaced(ask, phrases, home):
    before = (home / "keys" / keys.ENCRYPTED_FILE).read_bytes()
    for words in (("new",), ("import", str(phrases / "phrase"))):
        assert "there are keys" in ask(*words, code=9)["error"]["what"]
    assert (home / "keys" / keys.ENCRYPTED_FILE).read_bytes() == before


def test_missing_and_damaged_keys_end_with_9(ask, phrases, home):
    assert ask("show", code=9, at="nowhere")["error"]["fix"]
    path = home / "keys" / keys.ENCRYPTED_FILE
    path.write_text(path.read_text().replace("scrypt", "script"))
    assert "damaged" in ask("show", code=9)["error"]["what"]


def test_what_is_exported_is_imported_again(ask, phrases, home):
    words = ("--passphrase-file", str(phrases / "phrase"), "--new-passphrase-file", str(phrases / "other"))
    ask("export", str(phrases / "wallet.json"), *words, *LIGHT)
    assert (phrases / "wallet.json").stat().st_mode & 0o777 == 0o600
    assert keyfile.decrypt(json.loads((phrases / "wallet.json").read_text()), OTHER) == ALICE.account
    assert ask("export", str(phrases / "wallet.json"), *words, *LIGHT, code=9)["error"]["what"].endswith("already")
    again = ("import", str(phrases / "wallet.json"), "--passphrase-file", str(phrases / "other"), *LIGHT)
    assert ask(*again, at="second")["account"] == ALICE.account.account
    assert keystore.unlock(phrases / "second" / "keys", OTHER).peer != ALICE.peer
    ask(*again, "--new-passphrase-file", str(phrases / "phrase"), at="third")
    keystore.unlock(phrases / "third" / "keys", PHRASE)


def test_a_short_passphrase_of_another_wallet_needs_a_better_one(ask, phrases):
    (phrases / "wallet.json").write_text(json.dumps(keyfile.encrypt(ALICE.account, "seven77", work=2)))
    words = ("import", str(phrases / "wallet.json"), "--passphrase-file", str(phrases / "short"), *LIGHT)
    assert "7 characters" in ask(*words, code=2)["error"]["what"]
    assert ask(*words, "--new-passphrase-file", str(phrases / "other"))["account"] == ALICE.account.account


def test_a_bare_private_key_is_imported(ask, phrases):
    (phrases / "hex").write_text(ALICE.account.private.hex() + "\n")
    found = ask("import", str(phrases / "hex"), "--passphrase-file", str(phrases / "phrase"), *LIGHT)
    assert found["account"] == ALICE.account.account
    assert keystore.unlock(phrases / "home" / "keys", PHRASE).account == ALICE.account


@pytest.mark.parametrize("raw", [b"", b"{}", b"x" * 20_000, b"\0" * 64])
def test_what_is_no_key_is_refused(ask, phrases, raw):
    (phrases / "hex").write_bytes(raw)
    error = ask("import", str(phrases / "hex"), "--passphrase-file", str(phrases / "phrase"), code=3)["error"]
    assert str(phrases / "hex") in error["what"]
    assert not (phrases / "home").exists()


def test_a_changed_passphrase_and_encrypted_plain_keys(ask, phrases, home):
    ask("change-passphrase", "--passphrase-file", str(phrases / "phrase"), "--new-passphrase-file",
        str(phrases / "other"), *LIGHT)  # fmt: skip
    assert keystore.unlock(home / "keys", OTHER) == ALICE
    keys.save(ALICE, phrases / "plain" / "keys")
    assert ask("show", at="plain")["encrypted"] is False
    assert ask("change-passphrase", "--new-passphrase-file", str(phrases / "other"), *LIGHT, at="plain")["encrypted"]
    assert [path.name for path in (phrases / "plain" / "keys").iterdir()] == [keys.ENCRYPTED_FILE]


@pytest.mark.parametrize(("words", "code"), [(("import",), 2), (("export",), 2), (("show", "it"), 2), (("sho",), 2)])
def test_wrong_words_end_with_2(ask, words, code):
    assert ask(*words, code=code)["error"]["fix"]


def test_a_passphrase_file_must_be_one_line_that_others_cannot_read(ask, phrases, monkeypatch):
    def refused(name="phrase"):
        return ask("new", "--passphrase-file", str(phrases / name), *LIGHT, code=9)["error"]["what"]

    (phrases / "phrase").chmod(0o640)
    assert "others may read" in refused()
    (phrases / "phrase").chmod(0o600)
    for raw in (b"", b"\n", b"two\nlines", b"x" * 2000, b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe", b"nothing\0inside"):
        (phrases / "phrase").write_bytes(raw)
        assert str(phrases / "phrase") in refused()
    assert "cannot read" in refused("missing")
    assert "is a folder" in refused(".")
    os.mkfifo(phrases / "pipe", 0o600)  # nobody writes into it
    monkeypatch.setattr(passphrase, "_PIPE_SECONDS", 0.1)
    assert "nothing came out" in refused("pipe")


def test_a_pipe_that_somebody_writes_into_will_do(ask, phrases):
    out, into = os.pipe()
    os.write(into, b"from the manager\r\n")
    os.close(into)
    ask("new", "--passphrase-file", f"/dev/fd/{out}", *LIGHT)
    os.close(out)
    keystore.unlock(phrases / "home" / "keys", "from the manager")


def test_nothing_that_is_said_or_written_holds_a_key_or_a_passphrase(phrases, capfd, tmp_path):
    (phrases / "hex").write_text(ALICE.account.private.hex())
    at = ["--home", str(tmp_path / "home"), "--passphrase-file", str(phrases / "phrase"), *LIGHT]
    new = ["--new-passphrase-file", str(phrases / "other")]
    said = ""
    calls = (["import", str(phrases / "hex")], ["show"], ["export", str(phrases / "out"), *new])
    for words in (*calls, ["change-passphrase", *new], ["change-passphrase", *new]):
        for form in ("--json", "--plain"):
            PROGRAM.main(["keys", *words, *at, form])
            seen = capfd.readouterr()
            said += seen.out + seen.err
    mine = keystore.unlock(tmp_path / "home" / "keys", OTHER)
    (phrases / "hex").unlink()
    (phrases / "phrase").unlink()
    (phrases / "other").unlink()
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert ALICE.account.account in said
    assert ALICE.account.account in written
    for secret in (mine.peer_private.hex(), mine.account.private.hex(), PHRASE, OTHER):
        assert secret not in said
        assert secret not in written


# -- a person at a terminal --------------------------------------------------------------------------------------------


def test_a_person_is_asked_twice_and_nothing_is_shown(tmp_path):
    words = ["keys", "new", "--home", str(tmp_path), *LIGHT]
    code, shown = typed(words, PHRASE + "\n", OTHER + "\n")
    assert (code, "two different passphrases" in shown) == (2, True)
    code, shown = typed(words, PHRASE + "\n", PHRASE + "\n")
    assert code == 0, shown
    assert PHRASE not in shown
    assert keystore.unlock(tmp_path / "keys", PHRASE).peer in shown


@pytest.mark.long
def test_ctrl_c_and_the_end_of_input_end_the_question(tmp_path):
    words = ["keys", "new", "--home", str(tmp_path), *LIGHT]
    assert typed(words, "\x03")[0] == 130
    assert typed(words, "\x04")[0] == 2
    assert not (tmp_path / "keys").exists()


def test_a_program_without_a_terminal_never_waits(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM_ALONE, "keys", "new", "--home", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
    )
    assert (done.returncode, "no terminal" in done.stderr) == (2, True)
