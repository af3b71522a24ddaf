"""Public samples that are not held out: from another set, or made from the seed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.spec import DataSpec
from p2pfd.errors import PlanError
from p2pfd.learning.data import deal, digest_of_set
from p2pfd.learning.data.public import RECIPES, fitted
from tests.unit.learning.tasks import digits_data


def digest(x: np.ndarray) -> str:
    return hashlib.sha256(x.tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("recipe", "known"),
    [("noise", "b8afe896bbf43e6c"), ("shapes", "08916f9ed1a7656d"), ("mixtures", "a97177ed1e19189c")],
)
def test_recipes_make_the_known_pictures(recipe: str, known: str) -> None:
    spec = replace(digits_data(), public_from=f"synthetic:{recipe}", public=50)
    dealt = deal(spec, 3)
    assert dealt.public.shape == (50, 1, 8, 8)
    assert -1 <= dealt.public.min() < -0.5
    assert 0.5 < dealt.public.max() <= 1
    assert len({row.tobytes() for row in dealt.public}) == 50
    assert digest(dealt.public) == known
    assert not np.array_equal(deal(replace(spec, seed=2), 3).public, dealt.public)


def test_nothing_is_held_out_of_the_tasks_own_data() -> None:
    held, made = deal(digits_data(), 3), deal(replace(digits_data(), public_from="synthetic:noise"), 3)
    assert sum(map(len, held.shards)) == 1000
    assert sum(map(len, made.shards)) == 1320
    assert np.array_equal(held.test.x, made.test.x)
    assert np.array_equal(held.validation.x, made.validation.x)


def test_public_samples_of_another_set_are_made_to_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image")
    monkeypatch.setenv("P2PFD_DATA", str(tmp_path))
    for kind, colour in (("a", (255, 0, 0)), ("b", (255, 255, 255))):
        (tmp_path / "cards" / kind).mkdir(parents=True)
        for number in range(6):
            image.new("RGB", (20, 20), colour).save(tmp_path / "cards" / kind / f"{number}.png")
    name = "folder:cards:20"
    spec = replace(digits_data(), public=10, public_from=name, public_sha256=digest_of_set(name))
    public = deal(spec, 3).public
    assert public.shape == (10, 1, 8, 8)
    assert set(np.unique(public.round(3))) == {np.float32(-0.404), np.float32(1)}  # 76 of 255, as red looks in grey
    with pytest.raises(PlanError, match=r"data\.public is 13"):
        deal(replace(spec, public=13), 3)
    with pytest.raises(PlanError, match=r"has the hash .* the task says none"):
        deal(replace(spec, public_sha256=b""), 3)
    coloured = DataSpec(name, digest_of_set(name), 2, "iid", 1, 20, 1, 1, 0, "digits", digest_of_set("digits"))
    assert deal(coloured, 2).public.shape == (20, 3, 20, 20)


def test_the_same_shape_is_taken_as_it_is() -> None:
    spec = replace(digits_data(), public_from="digits", public_sha256=digest_of_set("digits"))
    assert deal(spec, 3).public.shape == (320, 1, 8, 8)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"public_from": "synthetic:poems"}, "the recipes are synthetic:noise"),
        ({"public_from": "letters"}, "no data set 'letters'"),
        ({"public_from": "synthetic:noise", "public_sha256": b"1" * 32}, "leave it out"),
        ({"public_from": "breast-cancer", "public_sha256": digest_of_set("breast-cancer")}, "a table is not resized"),
        ({"public_from": "digits", "public_sha256": b"1" * 32}, "the public set digits has the hash"),
    ],
)
def test_what_cannot_be_public(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(PlanError) as caught:
        deal(replace(digits_data(), **change), 3)  # type: ignore[arg-type]
    assert complaint in str(caught.value)


def test_a_tables_public_samples_can_be_noise() -> None:
    spec = DataSpec("breast-cancer", digest_of_set("breast-cancer"), 2, "iid", 1, 40, 50, 100, 0, "synthetic:noise")
    assert deal(spec, 4).public.shape == (40, 30)
    assert sum(map(len, deal(spec, 4).shards)) == 569 - 150
    for recipe in set(RECIPES) - {"noise"}:
        with pytest.raises(PlanError, match="only synthetic:noise"):
            deal(replace(spec, public_from=f"synthetic:{recipe}"), 4)


@given(
    before=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    after=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    shade=st.integers(0, 255),
    seed=st.integers(0, 100),
)
def test_fitting_keeps_a_plain_picture_and_the_mean(
    before: tuple[int, int], after: tuple[int, int], shade: int, seed: int
) -> None:
    plain = np.full((2, 1, *before), shade, dtype=np.uint8)
    assert (fitted(plain, (1, *after)) == shade).all()
    assert (fitted(plain, (3, *after)) == shade).all()
    picture = np.random.default_rng(seed).integers(0, 256, (1, 1, *before), dtype=np.uint8)
    assert abs(float(fitted(picture, (1, *after)).mean()) - float(picture.mean())) <= 0.51
    assert np.array_equal(fitted(picture, (1, *before)), picture)
