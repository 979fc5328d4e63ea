"""What the configurations of all systems share: checks, errors, TOML in and out.

A configuration is a frozen dataclass of frozen dataclasses with the class variable ``system``, the
field ``name`` and the property ``description``. Every field has a default; a value that cannot work
raises :class:`ConfigError` with one sentence that says what is required and what came.
"""

import dataclasses
import enum
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from model.files import read_bytes

__all__ = [
    "ConfigError",
    "System",
    "from_table",
    "from_toml",
    "read_table",
    "require",
    "require_name",
    "require_range",
    "shown",
    "to_toml",
]


#: Bytes of the largest configuration file that is read; the named ones have 3,000 at most.
FILE_BYTES = 1 << 20

#: Characters of the longest name: names of files and modules are made of it.
NAME_LENGTH = 64

#: Characters of a value that a message repeats.
SHOWN_LENGTH = 80


class ConfigError(ValueError):
    """A configuration value that cannot work; the message is one sentence for the user."""


class System(Protocol):
    """What every configuration has, whichever system it is of."""

    #: The system: ``mca``, ``cnn`` or ``in_situ``; the key ``system`` of a TOML file.
    system: ClassVar[str]

    @property
    def name(self) -> str:
        """Name of the configuration; generated files are named after it."""

    @property
    def description(self) -> str:
        """The system in one line."""


SystemT = TypeVar("SystemT", bound=System)


def require(condition: bool, message: str) -> None:
    """Raises ConfigError with ``message`` unless ``condition`` holds."""
    if not condition:
        raise ConfigError(message)


def require_range(owner: str, name: str, value: float, low: float, high: float) -> None:
    """Raises ConfigError unless ``low <= value <= high``; NaN is outside."""
    require(
        low <= value <= high, f"{owner}.{name} must be between {low} and {high}, not {value!r}."
    )


def require_name(name: str) -> None:
    """Raises ConfigError unless ``name`` can be the name of files and modules."""
    require(
        bool(name) and name.replace("_", "").isalnum() and name.isascii(),
        f"name must be letters, digits and underscores, not {shown(name)}.",
    )
    require(
        len(name) <= NAME_LENGTH,
        f"name must have at most {NAME_LENGTH} characters, not {len(name)}.",
    )


def shown(value: Any) -> str:
    """A value as a message repeats it: as in Python, cut where it is long."""
    # A huge whole number has no decimal form at all: Python limits its digits.
    text = f"{value:#x}" if type(value) is int and value.bit_length() > 256 else repr(value)
    return text if len(text) <= SHOWN_LENGTH else f"{text[: SHOWN_LENGTH - 3]}..."


def _to_plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            item.name: _to_plain(getattr(value, item.name)) for item in dataclasses.fields(value)
        }
    if isinstance(value, enum.StrEnum):
        return value.value
    return [_to_plain(item) for item in value] if isinstance(value, tuple) else value


def to_toml(config: System) -> str:
    """The configuration as TOML text; :func:`from_toml` gives an equal configuration back."""
    import tomli_w

    return tomli_w.dumps({"system": config.system, **_to_plain(config)})


def _convert(path: str, kind: Any, value: Any) -> Any:
    """Converts a TOML value to the type of a field, or raises ConfigError."""
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _build(path, typing.cast(type, kind), value)
    if isinstance(kind, type) and issubclass(kind, enum.StrEnum):
        allowed = [member.value for member in kind]
        require(
            value in allowed, f"{path} must be one of {', '.join(allowed)}, not {shown(value)}."
        )
        return kind(value)
    if origin is tuple:
        item = typing.get_args(kind)[0]
        require(isinstance(value, list), f"{path} must be a list, not {shown(value)}.")
        return tuple(_convert(f"{path}[{k}]", item, entry) for k, entry in enumerate(value))
    if origin in (typing.Union, types.UnionType):  # pragma: no cover
        raise TypeError(f"unsupported field type {kind!r}")
    if kind is float and type(value) is int:
        # Beyond 2**1000 a whole number may have no float; no setting is that large.
        require(value.bit_length() <= 1000, f"{path} must be a finite number, not {shown(value)}.")
        value = float(value)
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    require(type(value) is kind, f"{path} must be {names[kind]}, not {shown(value)}.")
    return value


def _shown_key(key: str) -> str:
    return key if key.isidentifier() and len(key) <= SHOWN_LENGTH else shown(key)


def _build(path: str, kind: type, table: Any) -> Any:
    require(
        isinstance(table, dict),
        f"{path or 'The configuration'} must be a table, not {shown(table)}.",
    )
    known = {item.name: item.type for item in dataclasses.fields(kind)}
    arguments = {}
    for key, value in table.items():
        require(
            key in known,
            f"Unknown setting {path + '.' if path else ''}{_shown_key(key)}; allowed here: "
            f"{', '.join(known)}.",
        )
        arguments[key] = _convert(f"{path}.{key}" if path else key, known[key], value)
    return kind(**arguments)


def read_table(source: str | Path) -> dict[str, Any]:
    """The nested tables of TOML text or, given a :class:`~pathlib.Path`, of a file.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not TOML.
    """
    if isinstance(source, Path):
        try:
            text = read_bytes(source, FILE_BYTES).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError(f"Cannot read configuration {source}: {reason}.") from None
    else:
        text = source
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The configuration is not valid TOML: {error}.") from None
    except RecursionError:
        raise ConfigError("The configuration is not valid TOML: it nests too deeply.") from None
    except ValueError:  # a whole number of thousands of digits
        raise ConfigError("The configuration has a number that is too long.") from None


def from_toml(source: str | Path, base: SystemT) -> SystemT:
    """Reads a configuration from TOML text or, given a :class:`~pathlib.Path`, from a file.

    Settings that the file leaves out keep the values of ``base``. A key ``extends`` at the top is
    not known here; :func:`model.configurations.load` resolves it to ``base``.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not TOML, is of another system, names an unknown setting, or
        gives a value that cannot work.
    """
    return from_table(read_table(source), base)


def from_table(table: dict[str, Any], base: SystemT) -> SystemT:
    """Builds a configuration from nested tables over ``base``; see :func:`from_toml`."""
    merged = _to_plain(base)
    for key, value in table.items():
        if key == "system":
            require(
                value == base.system, f"system must be {base.system!r} here, not {shown(value)}."
            )
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    return typing.cast(SystemT, _build("", type(base), merged))
