"""Reads the settings: the only reader of the TOML file, the environment and systemd's credentials.

Later sources win: defaults < what was tuned < TOML file < environment (`EDGEASSIST_<TABLE>__<KEY>`) <
credentials directory (a file `<table>.<key>`). An unknown key in any of them is an error that names the key
and its source. A list of tables is one setting: `EDGEASSIST_WATCH` and the credential `watch` hold all of it,
as JSON.
"""

from __future__ import annotations

import codecs
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource

from edgeassist import ENV_FILE
from edgeassist.errors import ConfigurationError
from edgeassist.protocol.values import NAME_PATTERN
from edgeassist.settings.keys import is_list
from edgeassist.settings.schema import ENV_PREFIX, Settings
from edgeassist.settings.watches import known_keys

DEFAULT_FILE = Path("/etc/edgeassist/edgeassist.toml")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where they come from.

    Attributes:
        settings: In force.
        origins: Where each key that is set (`mqtt.host`) comes from.
        file: The TOML file, if there is one.
        remark: Why something that was tuned is not used; None where all of it is, or nothing was.
    """

    settings: Settings
    origins: Mapping[str, str]
    file: Path | None
    remark: str | None = None

    @property
    def named_file(self) -> Path | None:
        """The file, where it is another than the one that is found without a name."""
        return None if self.file == DEFAULT_FILE else self.file


@dataclass(frozen=True, slots=True)
class Tuned:
    """What stands above the defaults and below all that a person has set.

    Attributes:
        tables: Keys by table, as the TOML file would have them.
        origin: Where they come from, in words.
    """

    tables: Mapping[str, Mapping[str, Any]]
    origin: str


def load_settings(
    file: Path | None = None, *, environ: Mapping[str, str] | None = None, tuned: Tuned | None = None
) -> Loaded:
    """Read all sources.

    Args:
        file: The TOML file; None for `$EDGEASSIST_CONFIG`, or the default file if it exists.
        environ: The environment; None for this process's.
        tuned: The lowest source; None: there is none.

    Raises:
        ConfigurationError: A source can't be read, or a key is unknown or has an invalid value.
    """
    environ = os.environ if environ is None else environ
    path, toml = _read_file(file, environ)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    below = tuned or Tuned({}, "")
    sources: list[tuple[Mapping[str, Any], str]] = [
        (below.tables, below.origin.replace("{", "{{").replace("}", "}}")),
        (toml, "file {file}"),
        (_read_environment(environ), "environment {variable}"),
        (_read_credentials(environ), "credential {key}"),
    ]
    for tables, origin in sources:
        for table, keys in tables.items():
            if table in Settings.model_fields and is_list(table):
                origins[table] = origin.format(file=path, key=table, variable=_variable(table))
                values[table] = keys
                continue
            if table not in Settings.model_fields or not isinstance(keys, Mapping):
                names = ", ".join(Settings.model_fields)
                raise ConfigurationError(
                    f"unknown setting {table} (file {path}): there are the tables {names}"
                )
            for key, value in keys.items():
                name = f"{table}.{key}"
                origins[name] = origin.format(file=path, key=name, variable=_variable(name))
                values.setdefault(table, {})[key] = value
    try:
        return Loaded(Settings(**values), origins, path)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(error, values, origins))) from None


def _read_file(file: Path | None, environ: Mapping[str, str]) -> tuple[Path | None, dict[str, Any]]:
    named = file or (Path(environ[ENV_FILE]) if environ.get(ENV_FILE) else None)
    path = named or DEFAULT_FILE
    try:
        return path, tomllib.loads(decode(path.read_bytes()))
    except FileNotFoundError:
        if named is None:
            return None, {}
        raise ConfigurationError(f"there is no configuration file {path}") from None
    except OSError as error:
        raise ConfigurationError(f"can't read the configuration file {path}: {error.strerror}") from None
    except UnicodeError as error:
        raise ConfigurationError(f"the configuration file {path} {error}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"the configuration file {path} is not valid TOML: {error}") from None


def decode(content: bytes) -> str:
    """Return the text of a file that a person wrote: UTF-8, with or without a byte-order mark.

    Raises:
        UnicodeError: It is something else; the message has a verb and no subject, and none of the text.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:2]:
        raise UnicodeError("is UTF-16: save it as UTF-8")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnicodeError(f"is not UTF-8 (line {line}): save it as UTF-8") from None


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(ENV_PREFIX) or variable == ENV_FILE:
            continue
        table, _, key = variable.removeprefix(ENV_PREFIX).lower().partition("__")
        if table not in Settings.model_fields or bool(key) == is_list(table):
            raise ConfigurationError(
                f"unknown environment variable {variable}: the form is {ENV_PREFIX}<TABLE>__<KEY>, "
                f"with a table of: {', '.join(Settings.model_fields)}",
            )
        read = _read_variable(variable, value, variable)[table]
        if key:
            tables.setdefault(table, {}).update(read)
        else:
            tables[table] = read
    return tables


def _read_variable(variable: str, value: str, name: str) -> dict[str, Any]:
    """Parse one variable (called `name`) with pydantic-settings, which knows the lists, written as JSON."""

    class Environment(EnvSettingsSource):
        def _load_env_vars(self) -> Mapping[str, str | None]:
            return {variable.lower(): value}

    try:
        value.encode()
        return dict(Environment(Settings)())
    except UnicodeEncodeError:
        raise ConfigurationError(f"the environment variable {name} is not UTF-8") from None
    except ValueError:  # the cause may quote the value
        raise ConfigurationError(f'{name} can\'t be read: a list is written as JSON, ["a", "b"]') from None


def _read_credentials(environ: Mapping[str, str]) -> dict[str, Any]:
    directory = environ.get("CREDENTIALS_DIRECTORY")
    tables: dict[str, Any] = {}
    if not directory:
        return tables
    try:
        for path in sorted(Path(directory).iterdir()):
            table, _, key = path.name.partition(".")
            if table not in Settings.model_fields or bool(key) == is_list(table):
                raise ConfigurationError(
                    f"unknown credential {path.name}: its name must be <table>.<key>, such as mqtt.password",
                )
            text = decode(path.read_bytes()).rstrip("\n")
            if not key:
                tables[table] = _read_variable(_variable(table), text, table)[table]
                continue
            known = key in type(Settings.model_fields[table].default).model_fields
            values = _read_variable(_variable(path.name), text, path.name)[table] if known else {key: text}
            tables.setdefault(table, {}).update(values)
    except UnicodeError as error:
        raise ConfigurationError(f"can't read the credentials in {directory}: {path.name} {error}") from None
    except OSError as error:
        raise ConfigurationError(
            f"can't read the credentials in {directory}: {type(error).__name__}"
        ) from None
    return tables


def _variable(key: str) -> str:
    return ENV_PREFIX + key.upper().replace(".", "__")


def _explain(error: ValidationError, values: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False):
        where = [str(part) for part in problem["loc"]]
        if not where:  # of several tables together
            yield str(problem["ctx"]["error"])
            continue
        listed = len(where) > 1 and is_list(where[0])
        key = where[0] if listed else ".".join(where[:2])
        origin = f" ({origins[key]})" if key in origins else ""
        if listed:
            yield f"{_called(where[0], values, where[1])}{origin}: {_explain_within(where[2:], problem)}"
        elif problem["type"] == "extra_forbidden":
            known = type(getattr(Settings(), where[0])) if len(where) > 1 else Settings
            yield f"unknown setting {key}{origin}: there is {', '.join(known.model_fields)}"
        elif is_list(where[0]):
            most = problem["type"] == "too_long"
            words = problem["msg"] if most else f"is a list: write [[{where[0]}]] above each"
            yield f"{key}{origin}: {words}"
        else:
            yield f"{key}{origin}: {_words(problem)}"


def _called(table: str, values: Mapping[str, Any], index: str) -> str:
    """Return what to call one of a list: its name, or its number from 1."""
    each = values[table][int(index)]
    name = each.get("name") if isinstance(each, Mapping) else None
    fits = isinstance(name, str) and re.fullmatch(NAME_PATTERN, name) is not None
    return f"{table} {name!r}" if fits else f"{table} {int(index) + 1}"


def _explain_within(where: Sequence[str], problem: ErrorDetails) -> str:
    place = ".".join(where)
    if problem["type"] == "extra_forbidden":
        return f"unknown setting {place}: there is {', '.join(known_keys(where))}"
    return f"{place}: {_words(problem)}" if place else _words(problem)


def _words(problem: ErrorDetails) -> str:
    match problem["type"]:
        case "value_error":
            return str(problem["ctx"]["error"])
        case "string_pattern_mismatch":
            return "must be 1 to 64 of A-Z a-z 0-9 _ -"
        case "tuple_type":
            return "must be a list"
        case "dict_type" | "model_type":
            return "must be a table"
        case _:
            return problem["msg"]
