#!/usr/bin/env python3
"""Fetches what the console bundles of others anew, and says whether it is what lies here.

    scripts/console_vendor.py            compare
    scripts/console_vendor.py --write    put it here

`npm pack` fetches the package from npm's registry, or the one that npm is configured with.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

PACKAGE = "mqtt@5.16.0"
# As npm's registry publishes it: of the package's archive.
INTEGRITY = "sha512-G0VsEtuJz5sJUgZJaaADMVfW7SIFPzkIuHR+d6rk+tBeSwdCfd9BaIRycRfd2AbyFDEmLlFM+SDQeti/+IbOnw=="
VENDOR = Path(__file__).parent.parent / "edgeassist" / "console" / "page" / "vendor"
# Where each lies in the archive. What ends with .gz here is compressed, as browsers are sent it.
FILES = {"mqtt.esm.js.gz": "package/dist/mqtt.esm.js", "mqtt.LICENSE.md": "package/LICENSE.md"}


def main() -> int:
    """Return 0 where all is the same, or was written."""
    options = argparse.ArgumentParser(description="Compares the bundled mqtt.js with the published package.")
    options.add_argument("--write", action="store_true", help="put the published files here")
    write = options.parse_args().write
    published = fetch()
    different = [name for name in FILES if not same(name, published[name])]
    for name in different:
        if write:
            (VENDOR / name).write_bytes(packed(name, published[name]))
        print(f"{name}: {'written' if write else 'is not that of ' + PACKAGE}")
    if not different:
        print(f"all as in {PACKAGE}")
    return 1 if different and not write else 0


def same(name: str, data: bytes) -> bool:
    """Whether a file here is the published one."""
    here = VENDOR / name
    if not here.exists():
        return False
    kept = here.read_bytes()
    try:
        return (gzip.decompress(kept) if name.endswith(".gz") else kept) == data
    except (OSError, EOFError, zlib.error):
        return False  # damaged


def packed(name: str, data: bytes) -> bytes:
    """Return a file as it lies here; the same bytes for the same file, whenever it is written."""
    return gzip.compress(data, mtime=0) if name.endswith(".gz") else data


def fetch() -> dict[str, bytes]:
    """Return the published files by name; ends the program where the archive is another than it should be."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", folder, PACKAGE]
        try:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - it is ours
        except FileNotFoundError:
            sys.exit("npm is not installed: sudo apt-get install npm")
        except subprocess.CalledProcessError:
            sys.exit(f"npm could not fetch {PACKAGE}")
        (archive,) = Path(folder).iterdir()
        found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != INTEGRITY:
            sys.exit(f"{PACKAGE} has the integrity {found}, and should have {INTEGRITY}")
        with tarfile.open(archive) as package:
            return {name: read(package, path) for name, path in FILES.items()}


def read(package: tarfile.TarFile, path: str) -> bytes:
    """Return a file of an archive."""
    file = package.extractfile(path)
    if file is None:
        sys.exit(f"{PACKAGE} has no file {path}")
    return file.read()


if __name__ == "__main__":
    sys.exit(main())
