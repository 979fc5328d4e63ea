"""Writes docs/configuration.md: every setting with its default and meaning, from model/config.py.

    .venv/bin/python -m scripts.configuration_page

The page is byte-identical from run to run. ``--out FOLDER`` writes it elsewhere.
"""

import argparse
import ast
import dataclasses
import inspect
import json
import sys
from pathlib import Path
from typing import Any

from model import config as configurations_source
from model.config import Config
from model.configurations import CONFIGURATIONS
from scripts import cli

__all__ = ["main", "page"]

PAGE = "configuration.md"

_HEAD = """\
# Configuration

Made from `model/config.py` by `python -m scripts.configuration_page`.

A configuration is a frozen dataclass of frozen dataclasses; every number that the model, the
gateware and the estimator share is a field of it or a property derived from its fields. A value
that cannot work is refused with one sentence. How to write your own: [user guide](user_guide.md).

## Named configurations
"""


def _docstrings() -> dict[str, dict[str, str]]:
    """The docstring of each class and of each of its fields (under its name)."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(configurations_source)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        texts = found.setdefault(node.name, {"": ast.get_docstring(node) or ""})
        for item, after in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(item, ast.AnnAssign)
                and isinstance(item.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                texts[item.target.id] = inspect.cleandoc(str(after.value.value))
    return found


def _cell(text: str) -> str:
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


def _value(value: Any) -> str:
    """A default as TOML writes it."""
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def _differences(config: Any, default: Any, prefix: str = "") -> list[str]:
    """Every setting that differs, as ``section.setting = value``."""
    found = []
    for item in dataclasses.fields(config):
        value, usual = getattr(config, item.name), getattr(default, item.name)
        if dataclasses.is_dataclass(value):
            found += _differences(value, usual, f"{prefix}{item.name}.")
        elif value != usual and item.name != "name":
            found.append(f"`{prefix}{item.name} = {_value(value)[1:]}")
    return found


def page() -> str:
    """The page as Markdown."""
    docs = _docstrings()
    default = Config()
    lines = [_HEAD, "| name | layers | what differs from the defaults below |", "|---|---|---|"]
    for name, config in CONFIGURATIONS.items():
        layers = "-".join(map(str, config.network.layers))
        lines.append(f"| `{name}` | {layers} | {', '.join(_differences(config, default))} |")
    sections: list[tuple[str, Any]] = [("", default)]
    for item in dataclasses.fields(default):
        value = getattr(default, item.name)
        if dataclasses.is_dataclass(value):
            sections.append((item.name, value))
    for name, section in sections:
        kind = type(section).__name__
        title = f"`[{name}]`" if name else "At the top"
        lines += ["", f"## {title}", docs[kind][""].replace("``", "`"), ""]
        lines += ["| setting | default | meaning |", "|---|---|---|"]
        for item in dataclasses.fields(section):
            value = getattr(section, item.name)
            if not dataclasses.is_dataclass(value):
                meaning = _cell(docs[kind].get(item.name, ""))
                lines.append(f"| `{item.name}` | {_value(value)} | {meaning} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Entry point of the module; writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs")
    path = cli.write(parser.parse_args().out / PAGE, page())
    print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
