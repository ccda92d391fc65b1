"""How big the images are: all layers, unpacked, the base's included.

At most 90 MB for what needs HTTP alone, 150 with numpy, 190 with kubernetes, 200 with k6, 260 for the report. They are
built as by `make images`, with the same variables.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
BOUNDS_MB = {"base": 90, "consul": 90, "points": 150, "kube": 190, "load": 200, "report": 260}
REPOSITORY = "localhost/chaos-steps-bench"


def run() -> bool:
    """Build the family stages too: one of them, kube, may have no command yet."""
    text = (ROOT / "images" / "Containerfile").read_text()
    commands = {name: family for family, name in re.findall(r"^FROM (\S+) AS (\S+)\nLABEL", text, flags=re.MULTILINE)}
    kept = True
    for name, family in [*commands.items(), *((family, family) for family in BOUNDS_MB)]:
        with tempfile.TemporaryDirectory() as folder:
            layers, stand_in = _build(name, Path(folder))
        size = sum(layers)
        ok = size <= BOUNDS_MB[family]
        kept &= ok
        print(
            f"{name:18} {size:6.1f} MB of {BOUNDS_MB[family]}{'' if ok else '  OVER'}"
            f"   {' + '.join(f'{layer:.1f}' for layer in layers)}{'   on a stand-in base' if stand_in else ''}",
            flush=True,
        )
    return kept


def _build(name: str, folder: Path) -> tuple[list[float], bool]:
    """Build an image; the sizes of its layers in megabytes, lowest first, and whether its base is a stand-in."""
    environment = {**os.environ, "REPOSITORY": REPOSITORY, "ARCHIVES": str(folder)}
    subprocess.run([ROOT / "tools" / "images" / "build", name], env=environment, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(folder / f"{name}.tar") as archive:
        (manifest,) = json.loads(b"".join(_content(archive, "manifest.json")))
        config = json.loads(b"".join(_content(archive, manifest["Config"])))
        sizes = [sum(map(len, _content(archive, layer))) / 1e6 for layer in manifest["Layers"]]
    return sizes, "chaos-steps.stand-in" in config["config"]["Labels"]


def _content(archive: tarfile.TarFile, name: str) -> Iterator[bytes]:
    """A file of an archive in blocks, unpacked if it is packed."""
    while (member := archive.getmember(name)).issym():  # Some engines store a layer once and link to it.
        name = str((Path(name).parent / member.linkname).as_posix())
    file = archive.extractfile(member)
    assert file is not None
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    unpacked = gzip.GzipFile(fileobj=file) if packed else file
    while block := unpacked.read(1 << 20):
        yield block
