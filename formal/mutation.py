"""Deliberate faults in the gateware: small changes of one module's source text, made in memory."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["Fault", "faulty_component", "gateware_modules"]


@dataclass(frozen=True)
class Fault:
    """A change of one module of a package."""

    what: str
    module: str
    right: str
    """Source text as it is, found once in the module."""
    wrong: str
    """What stands there instead."""
    found: str = ""
    """Pattern of the message that the check ends with."""

    @property
    def name(self) -> str:
        """Unique among faults, without spaces."""
        return f"{self.module}-{self.what}".replace(" ", "_")


class _Patch(MetaPathFinder, Loader):
    """Imports one module from another source text."""

    def __init__(self, module: str, source: str, origin: str) -> None:
        self.module, self.source, self.origin = module, source, origin
        self.applied = False

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self.module:
            return None
        return importlib.util.spec_from_loader(name, self, origin=self.origin)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.source, self.origin, "exec"), module.__dict__)
        self.applied = True


def faulty_component(
    package: str, top: str, component: str, *, module: str, right: str, wrong: str
) -> Any:
    """The class ``component`` of module ``top`` of a package in whose ``module`` ``right`` reads
    ``wrong``; the package's other modules are imported anew around it, and none stays."""
    name = f"{package}.{module}"
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    assert source.count(right) == 1, f"{right!r} is there {source.count(right)} times"
    patch = _Patch(name, source.replace(right, wrong), spec.origin)

    def loaded() -> dict[str, ModuleType]:
        return {
            key: value for key, value in sys.modules.items() if f"{key}.".startswith(f"{package}.")
        }

    kept = loaded()
    for key in kept:
        del sys.modules[key]
    sys.meta_path.insert(0, patch)
    try:
        result = getattr(importlib.import_module(f"{package}.{top}"), component)
    finally:
        sys.meta_path.remove(patch)
        for key in loaded():
            del sys.modules[key]
        sys.modules.update(kept)
    assert patch.applied
    return result


def gateware_modules(package: str) -> set[str]:
    """The package's modules with gateware, and those whose functions build some."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0])
    return {path.stem for path in folder.glob("*.py") if "def elaborate" in path.read_text()}
