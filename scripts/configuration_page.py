"""Writes docs/configuration.md: every setting of every system, its default and meaning.

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
from types import ModuleType
from typing import Any

from model.configurations import CONFIGURATIONS, SYSTEMS
from scripts import cli

__all__ = ["main", "page"]

PAGE = "configuration.md"

_HEAD = """\
# Configuration

Made from the sources by `python -m scripts.configuration_page`.

A configuration is a frozen dataclass of frozen dataclasses; every number that the model, the
gateware and the estimator share is a field of it or a property derived from its fields. A value
that cannot work is refused with one sentence. How to write your own: [user guide](user_guide.md).

## Named configurations
"""


def _docstrings(module: ModuleType) -> dict[str, dict[str, str]]:
    """The docstring of each class and of each of its fields (under its name)."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(module)).body:
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
    lines = [_HEAD, "| name | system | in a line | what differs from the defaults |"]
    lines += ["|---|---|---|---|"]
    for name, config in CONFIGURATIONS.items():
        differences = ", ".join(_differences(config, SYSTEMS[config.system]()))
        lines.append(
            f"| `{name}` | `{config.system}` | {config.description} | {differences or 'nothing'} |"
        )
    for system, kind in SYSTEMS.items():
        lines += _system(system, kind())
    return "\n".join(lines) + "\n"


def _system(system: str, default: Any) -> list[str]:
    """The lines of one system: a table of settings for each of its sections."""
    module = sys.modules[type(default).__module__]
    lines = ["", f'## `system = "{system}"`', f"From `{module.__name__.replace('.', '/')}.py`."]
    sections: list[tuple[str, Any]] = [("", default)]
    for item in dataclasses.fields(default):
        value = getattr(default, item.name)
        if dataclasses.is_dataclass(value):
            sections.append((item.name, value))
    for name, section in sections:
        kind = type(section)
        docs = _docstrings(sys.modules[kind.__module__])[kind.__name__]
        title = f"`[{name}]`" if name else "At the top"
        lines += ["", f"### {title}", docs[""].replace("``", "`"), ""]
        lines += ["| setting | default | meaning |", "|---|---|---|"]
        for item in dataclasses.fields(section):
            value = getattr(section, item.name)
            if not dataclasses.is_dataclass(value):
                meaning = _cell(docs.get(item.name, ""))
                lines.append(f"| `{item.name}` | {_value(value)} | {meaning} |")
    return lines


def main() -> None:
    """Entry point of the module; writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs")
    path = cli.write(parser.parse_args().out / PAGE, page())
    print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
