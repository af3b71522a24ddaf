"""Build and run a Containerfile without an engine: each stage in a clean root that debootstrap makes. As root only.

    python tools/container_root.py build --root DIR
    python tools/container_root.py run --root DIR -- --version

An image comes out as a directory. The bases it knows are Debian's with the Python that Debian has; a file that names
another base, or says anything that `containerfile` does not read, is refused. What is built sees no file of this
machine but the context and what ``--bind`` names, no variable but those of the file and ``--env``, and its own /proc.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import fnmatch
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from containerfile import ContainerfileError, Image, read

ROOT = Path(__file__).resolve().parent.parent
BASES = {
    "docker.io/library/python:3.11-slim-bookworm": (
        "bookworm",
        ("ca-certificates", "python3", "python3-dev", "python3-venv"),
    )
}
MIRROR = "http://deb.debian.org/debian"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SAYS = "image.json"
_LOOK_SECONDS = 1.0
_ALONE = "P2PFD_IMAGE_ALONE"


def say(text: str) -> None:
    """Tell whoever watches."""
    sys.stderr.write(f"image   {text}\n")
    sys.stderr.flush()


def give_up(what: str) -> None:
    """End with a reason."""
    sys.stderr.write(f"image   error: {what}\n")
    raise SystemExit(9)


def do(*command: object) -> None:
    """Run a command of this machine; what it says is no result of ours."""
    subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr)  # noqa: S603 - our own words


def build(args: argparse.Namespace) -> None:
    """Make each stage, and keep the last one."""
    root: Path = args.root
    if (root / "image").exists():
        give_up(f"{root / 'image'} is there already")
    images = read(args.file, dict(pair.split("=", 1) for pair in args.build_arg))
    unknown = [image.base for image in images if image.base not in BASES]
    if unknown:
        give_up(f"{unknown[0]} is no base that is known here: {', '.join(BASES)}")
    root.mkdir(parents=True, exist_ok=True)
    places: dict[str, Path] = {}
    for number, image in enumerate(images):
        last = number == len(images) - 1
        place = root / ("image" if last else f"stage-{number}")
        clean = _clean(image.base, args)
        say(f"stage {number} from {clean}")
        do("cp", "-a", "--reflink=auto", f"{clean}/.", place)
        _local_python(place)
        env = {"PATH": PATH, **image.args, **dict(pair.split("=", 1) for pair in args.env)}
        for line, word, words in image.steps:
            say(f"line {line}: {word} {' '.join(words)[:100]}")
            _step(word, words, place, places, image, env, args)
        places[image.name] = place
    (root / SAYS).write_text(json.dumps(dataclasses.asdict(images[-1]), indent=1), encoding="utf-8")
    for name, place in places.items():
        if place.name != "image":
            shutil.rmtree(place)
        else:
            say(f"done    {place} {name}")


def _clean(base: str, args: argparse.Namespace) -> Path:
    """The clean root of a base: the one that is there, or one that debootstrap makes."""
    suite, packages = BASES[base]
    place: Path = args.base or args.root / f"clean-{suite}"
    if not (place / "usr/bin/python3").exists():
        if shutil.which("debootstrap") is None:
            give_up("there is no debootstrap here: apt-get install debootstrap")
        do("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite, place, args.mirror)
    return place


def _local_python(place: Path) -> None:
    """The images of Python's makers have it in /usr/local."""
    for name in ("python", "python3"):
        (place / "usr/local/bin" / name).symlink_to("/usr/bin/python3")


def _step(
    word: str, words: list[str], place: Path, places: dict[str, Path], image: Image, env: dict[str, str],
    args: argparse.Namespace,
) -> None:  # fmt: skip
    at = Path(str(env.get("_WORKDIR", "/")))
    if word == "WORKDIR":
        at = at / words[0]
        _inside(place, at).mkdir(parents=True, exist_ok=True)
        env["_WORKDIR"] = str(at)
    elif word == "RUN":
        user = env.get("_USER", "0")
        command = _entering(place, user, str(at), {**env, **image.env}, args.bind)
        do(*command, "/bin/sh", "-c", words[0])
    elif word == "COPY":
        stage, source, target = words
        to = _inside(place, at / target)
        if stage:
            do("cp", "-a", f"{_inside(places[stage], Path(source))}/.", _made(to))
        else:
            _copied(args.context / source, _made(to), args.context)
    else:
        env["_USER"] = words[0]


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _inside(place: Path, path: Path) -> Path:
    """A path of an image, as seen from here; an image cannot point out of itself."""
    found = place / str(path).lstrip("/")
    if not found.resolve().is_relative_to(place.resolve()):
        raise ContainerfileError(f"{path} leads out of the image")
    return found


def _copied(source: Path, target: Path, context: Path) -> None:
    """The context, but for what its .dockerignore leaves out."""
    ignored = context / ".dockerignore"
    patterns = ignored.read_text(encoding="utf-8").split() if ignored.exists() else []

    def left_out(folder: str, names: list[str]) -> set[str]:
        out = set()
        for name in names:
            path = (Path(folder) / name).relative_to(context)
            for pattern in patterns:
                anywhere = pattern.removeprefix("**/")
                if fnmatch.fnmatch(str(path), pattern) or (anywhere != pattern and fnmatch.fnmatch(name, anywhere)):
                    out.add(name)
        return out

    shutil.copytree(source, target, ignore=left_out, symlinks=True, dirs_exist_ok=True)


def _entering(place: Path, user: str, workdir: str, env: dict[str, str], binds: list[str]) -> list[str]:
    """The words that run others inside: a view of files and processes of its own, this user, and these variables."""
    lines = ["set -e", f"mount --bind {place} {place}", f"mount -t proc proc {place}/proc"]
    for device in ("null", "zero", "random", "urandom"):
        lines += [f"touch {place}/dev/{device}", f"mount --bind /dev/{device} {place}/dev/{device}"]
    lines.append(f"cat /etc/resolv.conf > {place}/etc/resolv.conf 2>/dev/null || true")
    for bind in binds:
        source, _, target = bind.partition(":")
        to = f"{place}{target or source}"
        made = f"mkdir -p {to}" if Path(source).is_dir() else f"mkdir -p $(dirname {to}) && touch {to}"
        lines += [made, f"mount --bind {source} {to}", f"mount -o remount,ro,bind {to}"]
    shown = {name: value for name, value in env.items() if not name.startswith("_")}
    number = user.partition(":")[0]
    if not number.isdigit():
        raise ContainerfileError(f"USER {user}: name it by its number")
    lines.append(f'cd {place} && exec chroot --userspec={number}:{number if number != "0" else "0"} {place} "$@"')
    inner = ["/usr/bin/env", "-i", "-C", workdir, *(f"{name}={value}" for name, value in shown.items())]
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", "\n".join(lines), "sh", *inner]


def run(args: argparse.Namespace) -> int:
    """Run the image's command, or the words given, as an engine would; the exit code."""
    place: Path = args.root / "image"
    image = Image(**json.loads((args.root / SAYS).read_text(encoding="utf-8")))
    for volume in image.volumes:
        os.chown(_made(_inside(place, Path(volume))), int(image.user), int(image.user))
    env = {"PATH": PATH, "HOME": image.workdir, **image.env, **dict(pair.split("=", 1) for pair in args.env)}
    if args.alone and _ALONE not in os.environ:
        words = ["unshare", "--net", sys.executable, *sys.argv]
        os.execvpe(words[0], words, {**os.environ, _ALONE: "1"})  # noqa: S606
    if args.alone:
        _loopback()
    entering = _entering(place, image.user, image.workdir, env, args.bind)
    words = [*image.entrypoint, *(args.words or image.command)]
    if not args.healthy:
        return _attached(entering, words)
    return _checked(entering, words, image, args.healthy)


def _loopback() -> None:
    """Bring up the only device of a network of one's own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 1)  # IFF_UP
        fcntl.ioctl(sock, 0x8914, request)  # SIOCSIFFLAGS


def _attached(entering: list[str], words: list[str]) -> int:
    """Run it to its end, and have it told what this process is told, as an engine would."""
    with subprocess.Popen([*entering, *words]) as process:  # noqa: S603

        def pass_on(number: int, _frame: object) -> None:
            _stop(process.pid, signal.Signals(number))

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, pass_on)
        return process.wait()


def _checked(entering: list[str], words: list[str], image: Image, seconds: float) -> int:
    """Start it, and wait until its health check passes; then have it stop, as an engine would."""
    with subprocess.Popen([*entering, *words], stdout=sys.stderr) as process:  # noqa: S603
        end = time.monotonic() + seconds
        healthy = False
        while not healthy and time.monotonic() < end and process.poll() is None:
            time.sleep(_LOOK_SECONDS)
            check = [*entering, *image.health]
            healthy = subprocess.run(check, capture_output=True, check=False).returncode == 0  # noqa: S603
        say("healthy" if healthy else "not healthy")
        if process.poll() is None:
            _stop(process.pid, signal.Signals[image.stop])
        code = process.wait()
    say(f"ended   with {code}")
    return code if healthy else 1


def _stop(pid: int, number: signal.Signals) -> None:
    """Tell the first process of the image itself: what stands around it passes nothing on."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    os.kill(int(children[0]) if children else pid, number)


def main() -> int:
    """Read the words, and do it."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="run: words behind -- stand instead of CMD"
    )
    parser.add_argument("action", choices=("build", "run"))
    parser.add_argument("--root", type=Path, required=True, help="where the image goes, or is")
    parser.add_argument("--file", type=Path, default=ROOT / "deploy/container/Containerfile")
    parser.add_argument("--context", type=Path, default=ROOT)
    parser.add_argument("--base", type=Path, help="a clean root that is there")
    parser.add_argument("--mirror", default=MIRROR)
    parser.add_argument(
        "--bind", action="append", default=[], help="a path of this machine to read: PATH or PATH:THERE"
    )
    parser.add_argument("--env", action="append", default=[], help="a variable beside the file's: NAME=VALUE")
    parser.add_argument("--build-arg", action="append", default=[], help="instead of what ARG says: NAME=VALUE")
    parser.add_argument("--alone", action="store_true", help="run: without any network but its own loopback")
    parser.add_argument("--healthy", type=float, default=0.0, help="run: wait so many seconds for its health, and stop")
    known, _, words = "\0".join(sys.argv[1:]).partition("\0--\0")
    args = parser.parse_args(known.split("\0"))
    args.words = words.split("\0") if words else []
    args.root = args.root.absolute()
    try:
        if args.action == "run":
            return run(args)
        build(args)
    except ContainerfileError as error:
        give_up(f"{args.file}: {error}")
    except subprocess.CalledProcessError as error:
        give_up(f"{error.cmd[0]} ended with {error.returncode}: {' '.join(map(str, error.cmd))[-300:]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
