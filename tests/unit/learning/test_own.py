"""Somebody's own files: read, dealt, and where they are bad, a sentence that names the file and the line."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.spec import DataSpec
from p2pfd.errors import EnvironmentProblem, PlanError, StorageError
from p2pfd.learning.data import classes_of_set, deal, digest_of_set
from p2pfd.learning.data import folder as folder_module
from p2pfd.learning.data import table as table_module
from p2pfd.learning.data.folder import read_folder
from p2pfd.learning.data.own import is_own, parsed
from p2pfd.learning.data.table import read_table

HEAD = "acid,sugar,quality\n"
ROWS = [f"{place * 0.25},{-place},{('good', 'bad', 'odd')[place % 3]}\n" for place in range(60)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("P2PFD_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def wine(home: Path, text: str = HEAD + "".join(ROWS), name: str = "wine.csv") -> Path:
    path = home / name
    path.write_text(text, encoding="utf-8")
    return path


def spec(name: str, **changes: object) -> DataSpec:
    values = {"partition": "iid", "seed": 1, "public": 10, "validation": 6, "test": 8, **changes}
    return DataSpec(name, digest_of_set(name), classes_of_set(name), **values)  # type: ignore[arg-type]


def test_a_table_is_read(home: Path) -> None:
    content = read_table(wine(home), "quality")
    assert content.classes == ("bad", "good", "odd")
    assert content.columns == ("acid", "sugar")
    assert content.x.dtype == np.float32
    assert content.x[3].tolist() == [0.75, -3]
    assert content.y[:4].tolist() == [1, 0, 2, 1]


@pytest.mark.parametrize(
    "text",
    ["\ufeffa;b;y\r\n1;2;x\r\n\r\n 3 ; 4 ;z\r\n", 'a\tb\ty\n1\t2\tx\n3\t4\t"z"\n', '"a",b,y\n1,2,"x"\n3.0,4e0,z'],
)
def test_other_spellings_of_a_table(home: Path, text: str) -> None:
    content = read_table(wine(home, text), "y")
    assert content.x.tolist() == [[1, 2], [3, 4]]
    assert content.y.tolist() == [0, 1]
    assert content.columns == ("a", "b")


def test_labels_that_are_numbers_are_counted_as_numbers(home: Path) -> None:
    assert read_table(wine(home, "a,y\n1,10\n2,9\n3,-1\n"), "y").classes == ("-1", "9", "10")


BAD = {
    "": "is empty",
    "acid,sugar,kind\n1,2,a\n": "has no column 'quality'",
    "acid,acid,quality\n": "line 1: column 2 has the name 'acid' again",
    "acid,,quality\n": "line 1: column 2 has no name",
    "quality\na\n": "has only the column 'quality'",
    HEAD: "has no rows",
    HEAD + "1,2,a\n1,2\n": "line 3 has 2 fields, the head has 3",
    HEAD + "1,2,a\n1,2,3,4\n": "line 3 has 4 fields, the head has 3",
    HEAD + "1,2,a\n1,2,\n": "line 3 has no label in 'quality'",
    HEAD + "1,,a\n": "line 2 has nothing in column 'sugar'",
    HEAD + "1,two,a\n": "line 2, column 'sugar': 'two' is no number",
    HEAD + "1,nan,a\n": "line 2, column 'sugar': 'nan' is no finite number",
    HEAD + "1,-inf,a\n": "'-inf' is no finite number",
    HEAD + "1,1e39,a\n": "'1e39' is no finite number",
    HEAD + "1,1_0,a\n": "'1_0' is no finite number",
    HEAD + "1,2,a\n1,2,a\n": "has 1 different labels",
    HEAD + "".join(f"1,2,{place}\n" for place in range(16)): "has 16 different labels",
    HEAD + '1,2,"a\n': "is not CSV",
    HEAD + '1,2,"a"b\n': "line 2 is not CSV",
    HEAD + "1,2," + "a" * 200_000 + "\n": "line 2 is not CSV: field larger",
    ",".join(f"c{place}" for place in range(5000)) + "\n": "has 5000 columns",
}


@pytest.mark.parametrize("text", BAD, ids=list(BAD.values()))
def test_a_bad_table_is_a_sentence(home: Path, text: str) -> None:
    path = wine(home, text)
    with pytest.raises(PlanError) as caught:
        read_table(path, "quality")
    assert BAD[text] in caught.value.what
    assert str(path) in caught.value.what
    assert caught.value.fix


def test_a_table_that_cannot_be_text(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "wine.csv"
    for raw in (
        b"a,\xff,y\n1,2,3\n",
        b"a,b,y\n" + b"1,2,x\n" * 3000 + b"1,\xff,x\n",
        b"\xff\xfea\0,\0b\0",
        b"\x80\4K\1.",
    ):
        path.write_bytes(raw)
        with pytest.raises(PlanError, match="not UTF-8"):
            read_table(path, "y")
    path.write_bytes(b"a,b,y\n1,\0,x\n")
    with pytest.raises(PlanError, match="line 2"):
        read_table(path, "y")
    with pytest.raises(StorageError, match="cannot read"):
        read_table(home, "y")
    with pytest.raises(StorageError, match="cannot read"):
        read_table(home / "none.csv", "y")
    wine(home)
    monkeypatch.setattr(table_module, "MOST_ROWS", 59)
    with pytest.raises(PlanError, match="more than 59 rows"):
        read_table(path, "quality")
    monkeypatch.setattr(table_module, "MOST_BYTES", 100)
    with pytest.raises(PlanError, match="at most 0 MiB"):
        read_table(path, "quality")


@given(st.one_of(st.binary(max_size=300), st.text(alphabet='ay,;\t"\n\r1.-e \0é', max_size=300).map(str.encode)))
def test_any_file_is_a_table_or_a_sentence(raw: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "t.csv")
        path.write_bytes(b"a,y\n1,x\n" + raw)
        try:
            content = read_table(path, "y")
        except PlanError as error:
            said = error
        else:
            assert np.isfinite(content.x).all()
            assert len(content.x) == len(content.y) > 1
            return
    assert str(path) in said.what
    assert said.fix


@given(st.one_of(st.text(max_size=40), st.text(alphabet="csvarowfolde:0123456789grey./\\", max_size=40)))
def test_any_name_is_read_or_refused(name: str) -> None:
    if is_own(name):
        try:
            own = parsed(name)
        except PlanError:
            return
        assert parsed(own.name()) == own
        with pytest.raises(EnvironmentProblem, match="is not here"):
            own.find(None)
        assert "/" not in own.file
        assert not own.file.startswith(".")


def test_a_pipe_is_no_file_and_is_not_waited_for(home: Path) -> None:
    os.mkfifo(home / "wine.csv")
    with pytest.raises(StorageError, match="it is no file"):
        digest_of_set("csv:wine.csv:quality")


def test_a_table_is_dealt_and_scaled(home: Path) -> None:
    wine(home)
    dealt = deal(spec("csv:wine.csv:quality"), 4)
    everything = np.concatenate([dealt.public, dealt.test.x, dealt.validation.x, *(shard.x for shard in dealt.shards)])
    assert everything.shape == (60, 2)
    assert everything.min(axis=0).tolist() == [-1, -1]
    assert everything.max(axis=0).tolist() == [1, 1]
    assert everything.dtype == np.float32


def test_the_hash_is_that_of_what_the_table_says_and_not_of_its_spelling(home: Path) -> None:
    wine(home)
    known = digest_of_set("csv:wine.csv:quality")
    wine(home, HEAD.replace(",", ";") + "".join(row.replace(",", " ; ") for row in ROWS))
    assert digest_of_set("csv:wine.csv:quality") == known
    wine(home, HEAD + "".join(ROWS).replace("good", "fine"))
    assert digest_of_set("csv:wine.csv:quality") != known
    wine(home, HEAD + "".join(ROWS).replace("-7,", "-7.5,"))
    assert digest_of_set("csv:wine.csv:quality") != known


def test_another_copy_is_refused(home: Path) -> None:
    wine(home)
    task = spec("csv:wine.csv:quality")
    wine(home, HEAD + "".join(ROWS[1:]))
    with pytest.raises(PlanError, match=r"csv:wine\.csv:quality has the hash"):
        deal(task, 4)


def test_each_node_brings_its_own_files(home: Path) -> None:
    wine(home)
    wine(home, HEAD + "1,-7,odd\n2,-8,bad\n", "wine.own-1.csv")
    wine(home, HEAD + "15,0,good\n", "wine.own.csv")
    dealt = deal(spec("csv:wine.csv:quality", partition="files"), 3)
    assert [len(dealt.shards[at]) for at in range(3)] == [1, 2, 1]
    assert dealt.shards[1].y.tolist() == [2, 0]
    assert dealt.shards[0].x.tolist() == [[pytest.approx(2 * 15 / 14.75 - 1), 1]]
    wine(home, HEAD + "1,-7,odd\n2,-8,ugly\n", "wine.own-2.csv")
    with pytest.raises(PlanError, match=r"own-2\.csv line 3: 'ugly' is no class"):
        deal(spec("csv:wine.csv:quality", partition="files"), 3).shards[2]
    wine(home, "sugar,acid,quality\n1,2,odd\n", "wine.own.csv")
    with pytest.raises(PlanError, match="has the columns sugar, acid"):
        deal(spec("csv:wine.csv:quality", partition="files"), 3).shards[0]
    (home / "wine.own.csv").unlink()
    with pytest.raises(EnvironmentProblem, match=r"no wine\.own-0\.csv or wine\.own\.csv in"):
        deal(spec("csv:wine.csv:quality", partition="files"), 3).shards[0]


def test_files_go_with_own_sets_only(home: Path) -> None:
    wine(home)
    with pytest.raises(PlanError, match="digits is known to all"):
        deal(spec("digits", partition="files"), 3)
    with pytest.raises(PlanError, match=r"data\.private is 5"):
        deal(spec("csv:wine.csv:quality", partition="files", private=5), 3)


@pytest.mark.parametrize("name", ["csv:wine.csv:quality", "csv:w.csv:a:b", "folder:leaves:28", "folder:leaves:8:grey",
                                  "arrow:set:label", "arrow:set:label:28", "arrow:set:label:28:grey"])  # fmt: skip
def test_names_are_read_as_they_are_written(name: str) -> None:
    assert is_own(name)
    assert parsed(name).name() == name


@pytest.mark.parametrize(
    "name",
    [
        *("csv:", "csv:a", "csv:a:", "csv::y", "csv:../a:y", "csv:.a:y", "csv:/etc/passwd:y", "csv:a\\b:y"),
        *("folder:a", "folder:a:0", "folder:a:x", "folder:a:257", "folder:a:²", "folder:a:28:gray"),
        *("csv:a\0b:y", "csv:a\nb:y", "csv:" + "a" * 60 + ":y"),
        *("arrow:a", "arrow:a:y:28:grey:x", "arrow:a:y:grey", "arrow::y"),
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(PlanError, match=r"data\.name is") as caught:
        digest_of_set(name)
    assert caught.value.fix


def test_files_that_are_not_here(home: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="is not here") as caught:
        digest_of_set("csv:wine.csv:quality")
    assert str(home) in caught.value.what
    assert str(home / "cache") in caught.value.what


def leaves(home: Path, name: str = "leaves") -> Path:
    image = pytest.importorskip("PIL.Image")
    for place, kind in enumerate(("oak", "elm", "ash")):
        folder = home / name / kind
        folder.mkdir(parents=True)
        for number in range(12):
            picture = image.new("RGB", (10, 6), (80 * place, 5 * number, 200))
            picture.save(folder / f"{number}.png")
    (home / name / ".DS_Store").write_bytes(b"x")
    (home / name / "oak" / "Thumbs.db").write_bytes(b"x")
    return home / name


def test_a_folder_of_pictures_is_read_and_dealt(home: Path) -> None:
    content = read_folder(leaves(home), 8, grey=False)
    assert content.classes == ("ash", "elm", "oak")
    assert content.x.shape == (36, 3, 8, 8)
    assert content.x[0, :, 4, 4].tolist() == [160, 0, 200]
    assert content.x[13, :, 0, 0].tolist() == [80, 5, 200]
    dealt = deal(spec("folder:leaves:8:grey"), 3)
    assert dealt.public.shape == (10, 1, 8, 8)
    assert sum(map(len, dealt.shards)) == 36 - 24
    assert classes_of_set("folder:leaves:8:grey") == 3
    assert digest_of_set("folder:leaves:8:grey") != digest_of_set("folder:leaves:8")


def test_own_pictures_have_the_tasks_classes(home: Path) -> None:
    leaves(home)
    leaves(home, "leaves.own-1")
    dealt = deal(spec("folder:leaves:8", partition="files"), 2)
    assert dealt.shards[1].x.shape == (36, 3, 8, 8)
    (home / "leaves.own-1" / "elm").rename(home / "leaves.own-1" / "fir")
    with pytest.raises(PlanError, match="fir: 'fir' is no class"):
        deal(spec("folder:leaves:8", partition="files"), 2).shards[1]


def test_a_bad_folder_is_a_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = leaves(home)

    def refused(complaint: str) -> None:
        with pytest.raises(PlanError, match=complaint) as caught:
            read_folder(path, 8, grey=True)
        assert str(path) in caught.value.what
        assert caught.value.fix

    broken = path / "elm" / "x.jpg"
    for raw in (b"", b"no picture", (path / "elm" / "3.png").read_bytes()[:-30], b"\xff\xd8\xff\xe0"):
        broken.write_bytes(raw)
        refused(r"x\.jpg is not a picture")
    broken.unlink()
    (path / "elm" / "note.txt").write_text("x")
    refused(r"note\.txt is no picture by its name")
    (path / "elm" / "note.txt").unlink()
    (path / "stray.png").write_bytes(b"x")
    refused(r"stray\.png lies in no class's folder")
    (path / "stray.png").unlink()
    (path / "elm" / "deeper.png").mkdir()
    refused(r"deeper\.png is no picture")
    (path / "elm" / "deeper.png").rmdir()
    monkeypatch.setattr(folder_module, "MOST_FILE_BYTES", 10)
    refused(r"0\.png has more than")
    monkeypatch.setattr(folder_module, "MOST_BYTES", 100)
    refused("more than 1 GiB")
    monkeypatch.setattr(folder_module, "MOST_PICTURES", 20)
    refused("more than 20 pictures")
    (path / "birch").mkdir()
    refused("birch has no pictures")


def test_a_picture_of_too_many_pixels_is_not_decoded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = leaves(home)
    monkeypatch.setattr("p2pfd.learning.data.pictures.MOST_PIXELS", 59)
    with pytest.raises(PlanError, match="has 10 × 6 pixels"):
        read_folder(path, 8, grey=True)


def test_no_folder_and_empty_folders(home: Path) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        read_folder(home / "none", 8, grey=True)
    (home / "empty").mkdir()
    with pytest.raises(PlanError, match="has no pictures"):
        read_folder(home / "empty", 8, grey=True)
