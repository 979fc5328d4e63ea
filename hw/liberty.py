"""Standard-cell libraries in Liberty format: what synthesis needs to know of one, and no more.

A Liberty file is large and mostly delay tables, which Yosys, abc and OpenSTA read themselves. This
module finds units, areas, which cells store a bit, and a buffer, by patterns rather than by a
whole grammar: a library of 20 MB takes a fraction of a second.
"""

import fnmatch
import gzip
import hashlib
import io
import itertools
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hw.errors import LibertyError
from model.files import read_bytes

__all__ = ["DEFAULT", "Library", "LibraryCell", "load"]

#: Oklahoma State University's cells for 180 nm, where Debian's package qflow-tech-osu018 puts them.
DEFAULT = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")

#: Most bytes of a file, also uncompressed: ten times the largest that we know.
FILE_BYTES = 1 << 28

_TIME_NS = {"ps": 1e-3, "ns": 1.0, "us": 1e3}
_LOAD_FF = {"ff": 1.0, "pf": 1e3}

_COMMENT = re.compile(r"/\*.*?\*/", flags=re.DOTALL)
# Delay and power tables, nine tenths of the text.
_TABLE = re.compile(r"values\s*\([^)]*\)\s*;")

_NUMBER = r"([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)"
_CELL = re.compile(r'\bcell\s*\(\s*"?([\w\[\]$.-]+)"?\s*\)\s*\{')
_PIN = re.compile(r'\bpin\s*\(\s*"?([\w\[\]$.-]+)"?\s*\)\s*\{')
_STATE = re.compile(r"\b(ff|ff_bank|latch|latch_bank|statetable)\s*\(")


@dataclass(frozen=True, kw_only=True)
class LibraryCell:
    """A cell of a library."""

    area_um2: float
    """Area in the library's unit, which is the square micrometre in every library we know."""

    is_flip_flop: bool
    """Whether it stores a bit at a clock edge."""

    is_latch: bool
    """Whether it stores a bit while a level holds."""

    buffer_load: float | None = None
    """Of a buffer, the capacitance of its input in the library's unit; else None."""


@dataclass(frozen=True, kw_only=True)
class Library:
    """One library, of one or more files."""

    name: str
    """Its name; of several files, what their names begin with."""

    files: tuple[str, ...]
    """The files' names."""

    texts: tuple[str, ...]
    """The files' contents."""

    cells: dict[str, LibraryCell]
    """The cells by name, also those that are not to be used."""

    register_files: tuple[int, ...]
    """Indices of the files that hold flip-flops."""

    dont_use: tuple[str, ...]
    """Patterns (``*`` and ``?``) of cells that synthesis must not use."""

    buffer: str
    """The smallest buffer: it drives the inputs, and four of it load each output."""

    time_ns: float
    """Unit of time of the first file, in nanoseconds."""

    load_ff: float
    """Unit of capacitance of the first file, in femtofarads."""

    @property
    def digest(self) -> str:
        """Hash of all that changes a result."""
        return hashlib.sha256(repr((self.texts, self.dont_use)).encode()).hexdigest()

    @property
    def output_load(self) -> float:
        """Load of an output, a fan-out of four, in the library's unit of capacitance."""
        load = self.cells[self.buffer].buffer_load
        assert load is not None, "the buffer was chosen among cells that have one"
        return 4 * load


def load(paths: Sequence[Path], *, dont_use: Sequence[str] = ()) -> Library:
    """Reads a library.

    Parameters
    ----------
    paths
        Its Liberty files, also compressed by gzip. The first gives the units.
    dont_use
        Patterns (``*`` and ``?``) of cells not to be used, on top of those that the library marks.

    Raises
    ------
    LibertyError
        If a file cannot be read, is no Liberty file, or the whole has no flip-flop or no buffer.
    """
    if not paths:
        raise LibertyError("A library needs at least one Liberty file.")
    texts = tuple(_read(path) for path in paths)
    names, cells, avoided, register_files = [], {}, list(dont_use), []
    for index, (path, text) in enumerate(zip(paths, texts, strict=True)):
        bare = _TABLE.sub("", _COMMENT.sub("", text))
        name = re.search(r'\blibrary\s*\(\s*"?([\w.-]+)"?\s*\)', bare)
        heads = list(_CELL.finditer(bare))
        if name is None or not heads:
            raise LibertyError(f"{path} is no Liberty file with cells.")
        names.append(name[1])
        ends = [head.start() for head in heads[1:]] + [len(bare)]
        for head, end in zip(heads, ends, strict=True):
            body = bare[head.end() : end]
            cells[head[1]] = _cell(body)
            if re.search(r'\bdont_use\s*:\s*"?true', body):
                avoided.append(head[1])
            if cells[head[1]].is_flip_flop and index not in register_files:
                register_files.append(index)
    used = {
        name: cell
        for name, cell in cells.items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in avoided)
    }
    buffers = {name: cell for name, cell in used.items() if cell.buffer_load}
    which = " and ".join(path.name for path in paths)
    if not any(cell.is_flip_flop for cell in used.values()):
        raise LibertyError(
            f"{which} has no flip-flop that may be used: give every file of the library."
        )
    if not buffers:
        raise LibertyError(
            f"{which} has no buffer that may be used: give every file of the library."
        )
    first = _COMMENT.sub("", texts[0][:100_000])
    return Library(
        name=_common_start(names).rstrip("_-.") or names[0],
        files=tuple(path.name for path in paths),
        texts=texts,
        cells=cells,
        register_files=tuple(register_files),
        dont_use=tuple(avoided),
        buffer=min(buffers, key=lambda name: (buffers[name].area_um2, name)),
        time_ns=_unit(first, r'\btime_unit\s*:\s*"?\s*([0-9.]+)\s*(\w+)', _TIME_NS, paths[0]),
        load_ff=_unit(
            first,
            r'\bcapacitive_load_unit\s*\(\s*"?([0-9.]+)"?\s*,\s*"?(\w+)',
            _LOAD_FF,
            paths[0],
        ),
    )


def _common_start(names: Sequence[str]) -> str:
    letters = itertools.takewhile(lambda column: len(set(column)) == 1, zip(*names, strict=False))
    return "".join(column[0] for column in letters)


def _read(path: Path) -> str:
    try:
        content = read_bytes(path, FILE_BYTES)
        if content[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(content)) as stream:
                content = stream.read(FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise LibertyError(f"Cannot read the library {path}: {reason}.") from None
    if len(content) > FILE_BYTES:
        raise LibertyError(f"The library {path} has more than {FILE_BYTES:,} bytes.")
    return content.decode("utf-8", errors="replace")


def _cell(body: str) -> LibraryCell:
    area = re.search(rf'\barea\s*:\s*"?{_NUMBER}', body)
    states = {match[1] for match in _STATE.finditer(body)}
    return LibraryCell(
        area_um2=float(area[1]) if area else 0.0,
        is_flip_flop=bool(states & {"ff", "ff_bank"}),
        is_latch=bool(states & {"latch", "latch_bank"}),
        buffer_load=None if states else _buffer_load(body),
    )


def _buffer_load(body: str) -> float | None:
    """The capacitance of the only input if the only output follows it."""
    heads = list(_PIN.finditer(body))
    if not heads:  # a filler
        return None
    ends = [head.start() for head in heads[1:]] + [len(body)]
    inputs, functions = {}, []
    for head, end in zip(heads, ends, strict=True):
        pin = body[head.end() : end]
        direction = re.search(r'\bdirection\s*:\s*"?(\w+)', pin)
        if direction is None or direction[1] == "internal":
            continue
        if direction[1] == "input":
            capacitance = re.search(rf'\bcapacitance\s*:\s*"?{_NUMBER}', pin)
            inputs[head[1]] = float(capacitance[1]) if capacitance else 0.0
        else:
            function = re.search(r'\bfunction\s*:\s*"([^"]*)"', pin)
            functions.append(function[1].strip(" ()") if function else "")
            if "three_state" in pin:
                return None
    if len(inputs) == 1 and len(functions) == 1 and functions[0] in inputs:
        return inputs[functions[0]]
    return None


def _unit(text: str, pattern: str, factors: dict[str, float], path: Path) -> float:
    found = re.search(pattern, text)
    if found is None or found[2].lower() not in factors:
        raise LibertyError(f"{path} does not state its units of time and capacitance.")
    return float(found[1]) * factors[found[2].lower()]
