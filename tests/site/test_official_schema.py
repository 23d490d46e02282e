"""docs/asyncapi.yaml is an AsyncAPI document, as AsyncAPI's own schema says."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import platformdirs
import yaml
from jsonschema import Draft7Validator

from tests.kept import kept, run

_PACKAGE = "@asyncapi/specs@6.11.1"
_SHA256 = "01af8744dc33c0c7eb2e908f6a955319ee58b70ecadc9387d1aeb16c0cd28928"
_SCHEMA = "package/schemas/3.0.0.json"
DOCUMENT = Path(__file__).parents[2] / "docs/asyncapi.yaml"


def get(folder: Path) -> None:
    run("npm", "pack", _PACKAGE, cwd=folder)
    [archive] = folder.glob("*.tgz")
    if hashlib.sha256(archive.read_bytes()).hexdigest() != _SHA256:
        raise OSError(f"{_PACKAGE} is not what it was")
    with tarfile.open(archive) as files:
        files.extract(_SCHEMA, folder, filter="data")


def test_the_document_is_valid_by_the_official_schema() -> None:
    folder = kept(platformdirs.user_cache_path("edgeassist") / "asyncapi-specs-6.11.1", get)
    validator = Draft7Validator(json.loads((folder / _SCHEMA).read_text()))
    document = yaml.load(DOCUMENT.read_text(), Loader=yaml.CSafeLoader)
    assert [f"{each.json_path}: {each.message}" for each in validator.iter_errors(document)] == []
    # It does look at it.
    document["operations"]["sendHealth"]["action"] = "publish"
    assert not validator.is_valid(document)
