"""What a Containerfile says: the part of its language that ours uses, and an error for every other word of it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_WORD = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


class ContainerfileError(Exception):
    """A line that cannot be carried out."""


@dataclass
class Image:
    """What an image says of how it is run."""

    base: str
    name: str = ""
    steps: list[tuple[int, str, list[str]]] = field(default_factory=list)
    """RUN, COPY, WORKDIR and USER, in their order: the line's number, the word, and what stands behind it."""
    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    user: str = "0"
    workdir: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    stop: str = "SIGTERM"


def read(path: Path, args: dict[str, str]) -> list[Image]:
    """The stages of a file, the last of which is the image; ``args`` stand for what ARG says."""
    images: list[Image] = []
    for number, line in _lines(path.read_text(encoding="utf-8")):
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if word == "FROM":
            images.append(_from(number, rest))
        elif not images:
            raise ContainerfileError(f"line {number}: {word} before FROM")
        else:
            _take(images, number, word, rest, args)
    if not images:
        raise ContainerfileError(f"{path} has no FROM")
    return images


def _lines(text: str) -> list[tuple[int, str]]:
    """Lines without comments, and those that go on in the next one joined."""
    found: list[tuple[int, str]] = []
    joined, began = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not joined):
            continue
        began = began or number
        if line.rstrip().endswith("\\"):
            joined += line.rstrip()[:-1] + " "
            continue
        found.append((began, " ".join((joined + line).split())))
        joined, began = "", 0
    if joined:
        raise ContainerfileError(f"line {began} goes on, and the file ends")
    return found


def _from(number: int, rest: str) -> Image:
    words = rest.split()
    if len(words) == 3 and words[1].upper() == "AS":
        return Image(words[0], words[2])
    if len(words) != 1 or words[0].startswith("-"):
        raise ContainerfileError(f"line {number}: FROM {rest}")
    return Image(words[0])


def _take(images: list[Image], number: int, word: str, rest: str, args: dict[str, str]) -> None:
    image = images[-1]
    match word:
        case "ARG":
            name, sign, value = rest.partition("=")
            image.args[name] = args.get(name, value if sign else "")
        case "ENV":
            for pair in shlex.split(rest):
                name, sign, value = pair.partition("=")
                if not sign:
                    raise ContainerfileError(f"line {number}: write ENV NAME=VALUE")
                image.env[name] = _filled(value, image)
        case "RUN":
            if rest.startswith(("[", "--")):
                raise ContainerfileError(f"line {number}: RUN is taken as a line for a shell, without options")
            image.steps.append((number, word, [rest]))
        case "COPY":
            image.steps.append((number, word, _copy(images, number, rest)))
        case "WORKDIR" | "USER":
            value = _filled(rest, image)
            image.steps.append((number, word, [value]))
            if word == "USER":
                image.user = value
            else:
                image.workdir = value if value.startswith("/") else f"{image.workdir.rstrip('/')}/{value}"
        case "ENTRYPOINT":
            image.entrypoint = _listed(number, word, rest)
        case "CMD":
            image.command = _listed(number, word, rest)
        case "HEALTHCHECK":
            _, sign, command = rest.partition("CMD ")
            if not sign:
                raise ContainerfileError(f"line {number}: HEALTHCHECK without CMD")
            image.health = _listed(number, word, command)
        case "EXPOSE":
            image.ports += rest.split()
        case "VOLUME":
            image.volumes += rest.split()
        case "STOPSIGNAL":
            image.stop = rest
        case _:
            raise ContainerfileError(f"line {number}: {word} is not known here")


def _copy(images: Sequence[Image], number: int, rest: str) -> list[str]:
    words = rest.split()
    stage = ""
    if words[0].startswith("--from="):
        stage = words.pop(0).removeprefix("--from=")
        if stage not in [image.name for image in images[:-1]]:
            raise ContainerfileError(f"line {number}: there is no stage {stage} before this one")
    if len(words) != 2 or any(each.startswith(("--", "[")) for each in words) or ".." in Path(words[0]).parts:
        raise ContainerfileError(f"line {number}: COPY {rest}")
    return [stage, *words]


def _listed(number: int, word: str, rest: str) -> list[str]:
    try:
        found = json.loads(rest)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ContainerfileError(f'line {number}: write {word} as ["word", "word"]')
    return found


def _filled(text: str, image: Image) -> str:
    known = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **image.args, **image.env}
    return _WORD.sub(lambda found: known.get(found[1] or found[2], ""), text)
