"""What README and docs/ say and a command makes again: docs/reproduction.toml, read and compared.

A *run* is one or more commands in a folder of their own; a *claim* is a passage of a page, its
numbers in braces, and where the run has left them. The number is in the manifest once, in the words
of the page: a test holds every passage to its page, :mod:`scripts.reproduce` to its run.

A found number holds if it differs from the stated one by no more than the claim's ``spread`` and
half a unit of the last digit that is printed.
"""

import json
import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from energy.errors import EnergyError
from energy.expressions import evaluate
from scripts import cli

__all__ = [
    "MANIFEST",
    "OUTPUT",
    "ROOT",
    "Claim",
    "Finding",
    "Manifest",
    "Remark",
    "Run",
    "Verdict",
    "compare",
    "load",
    "stands",
]

ROOT = Path(__file__).parents[1]
MANIFEST = ROOT / "docs" / "reproduction.toml"

OUTPUT = "stdout.txt"
"""The file of a run's folder that holds what its commands printed."""

NEEDS = ("mnist", "osu018")
"""What a run may need that does not come with the project."""

_NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?"
_BRACES = re.compile(r"\{([^{}]*)\}")
_STEP = re.compile(r"/(?:([\w.=&]+)|'([^']*)')")
_POINTER = re.compile(rf"(?:{_STEP.pattern})+")
# Matplotlib names what a figure defines by a digest of it, which a last digit changes.
_FIGURE_ID = re.compile(r"\b[a-zC][0-9a-f]{10}\b")


class Verdict(Enum):
    """What became of a claim."""

    HOLDS = "holds"
    MOVED = "MOVED"
    SHOWN = "shown"
    """Not judged: a speed of this machine, say."""
    NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A passage of a page, or a whole generated file, and where a run leaves its numbers."""

    page: str
    """File of the project, relative to its root."""
    says: str = ""
    """The passage, numbers in braces; without it the whole page is compared."""
    file: str = OUTPUT
    """File in the run's folder that holds the numbers."""
    prints: str = ""
    """The passage as the file has it, if it differs; numbers in braces, in the same order."""
    found: tuple[str, ...] = ()
    """If the file is JSON: arithmetic over pointers into it, one for each number (in the manifest
    ``/a/b,c`` is two)."""
    spread: tuple[float, ...] = (0.0,)
    """How far a number may be off: one for all or one for each; inf: not judged."""

    @property
    def stated(self) -> list[str]:
        """The numbers as the page prints them."""
        return _BRACES.findall(self.says)

    @property
    def words(self) -> str:
        """The passage as the page has it."""
        return _BRACES.sub(r"\1", self.says)

    def allowed(self, k: int) -> float:
        """The spread of number ``k``."""
        return self.spread[k] if len(self.spread) > 1 else self.spread[0]


@dataclass(frozen=True, kw_only=True)
class Run:
    """Commands that are run one after the other in a folder of their own."""

    name: str
    commands: tuple[str, ...]
    """As in the pages: ``mixbar ...`` or ``python -m ...``."""
    seconds: float
    """Processor time on one core, about; the first time compilers add a minute or two."""
    estimated: bool = False
    """Whether ``seconds`` is reckoned from speeds instead of measured."""
    quick: bool = False
    """Whether it belongs to the quick form."""
    needs: tuple[str, ...] = ()
    """What must be there, of :data:`NEEDS`."""
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Remark:
    """Numbers of a page that no run makes: what they are, and why not or what holds them."""

    page: str
    what: str
    why: str


@dataclass(frozen=True)
class Manifest:
    """All runs; numbers that tests hold; numbers that no command makes."""

    runs: tuple[Run, ...]
    tested: tuple[Remark, ...]
    without: tuple[Remark, ...]


@dataclass(frozen=True)
class Finding:
    """A claim beside what its run has left."""

    claim: Claim
    verdict: Verdict
    found: Sequence[float] = ()
    note: str = ""
    """Why there is no verdict on the numbers, or which of many has moved."""


def load(path: Path = MANIFEST) -> Manifest:
    """Reads a manifest.

    Raises
    ------
    FailureError
        If it is none; the sentence says where.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        runs = tuple(_run(table) for table in tables.pop("run"))
        tested, without = (
            tuple(Remark(**table) for table in tables.pop(name, ()))
            for name in ("tested", "without")
        )
        if tables:
            raise ValueError(f"unknown table {next(iter(tables))}")
        names = [run.name for run in runs]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two runs are called {twice.pop()}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise cli.FailureError(f"{path} is no manifest: {error}.") from None
    return Manifest(runs, tested, without)


def _run(table: dict[str, Any]) -> Run:
    usual = {"file": table.pop("file", OUTPUT)}
    claims = tuple(_claim(usual | claim) for claim in table.pop("claim", ()))
    commands, needs = (tuple(table.pop(key, ())) for key in ("commands", "needs"))
    run = Run(**table, commands=commands, needs=needs, claims=claims)
    if not re.fullmatch(r"[\w.-]+", run.name):
        raise ValueError(f"the name {run.name!r} is no name of a folder")
    if not run.commands or not all(re.match(r"(mixbar|python -m) ", c) for c in run.commands):
        raise ValueError(f"{run.name} must have commands that begin with mixbar or python -m")
    if unknown := set(run.needs) - set(NEEDS):
        raise ValueError(f"{run.name} needs {unknown.pop()!r}, which is none of {NEEDS}")
    if not run.seconds > 0:
        raise ValueError(f"{run.name} must say how many seconds it takes")
    return run


def _claim(table: dict[str, Any]) -> Claim:
    spread = table.pop("spread", 0.0)
    spreads = tuple(map(float, spread)) if isinstance(spread, list) else (float(spread),)
    found = tuple(one for several in table.pop("found", ()) for one in _each(several))
    claim = Claim(**table, spread=spreads, found=found)
    where = claim.words or claim.page
    n = len(claim.stated)
    for number in claim.stated:
        if not re.fullmatch(_NUMBER, number):
            raise ValueError(f"{number!r} of {where!r} is no number")
    if claim.found and len(claim.found) != n:
        raise ValueError(f"{where!r} has {n} numbers, but says where to find {len(claim.found)}")
    if claim.prints and len(_BRACES.findall(claim.prints)) != n:
        raise ValueError(f"{where!r} is printed with another count of numbers")
    if len(spreads) not in (1, n) or not all(s >= 0 for s in spreads):
        raise ValueError(f"{where!r} must have one spread or one for each number, none below 0")
    return claim


def _each(expression: str) -> list[str]:
    """``/a/b,c`` as ``/a/b`` and ``/a/c``."""
    names = re.search(r"[\w.]+(?:,[\w.]+)+", expression)
    if names is None:
        return [expression]
    first, last = expression[: names.start()], expression[names.end() :]
    return [f"{first}{name}{last}" for name in names[0].split(",")]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def stands(claim: Claim, root: Path = ROOT) -> bool:
    """Whether the page says what the claim says it does, whatever its line breaks."""
    path = root / claim.page
    if not path.is_file():
        return False
    return _one_line(claim.words) in _one_line(path.read_text(encoding="utf-8"))


def compare(claim: Claim, folder: Path, root: Path = ROOT) -> Finding:
    """Holds a claim to what its run has left in ``folder``."""
    path = folder / claim.file
    if not path.is_file():
        return Finding(claim, Verdict.MOVED, note=f"the run left no {claim.file}")
    text = path.read_text(encoding="utf-8")
    if not claim.says:
        return _compare_whole(claim, (root / claim.page).read_text(encoding="utf-8"), text)
    if claim.found:
        try:
            document = json.loads(text)
            found = [_evaluate(expression, document) for expression in claim.found]
        except (EnergyError, KeyError, IndexError, TypeError, ValueError) as error:
            return Finding(claim, Verdict.MOVED, note=f"{claim.file} has no such number: {error}")
    else:
        pattern = f"({_NUMBER})".join(
            re.escape(part) for part in _BRACES.split(_one_line(claim.prints or claim.says))[::2]
        )
        # At its ends no longer number is cut.
        pattern = rf"(?<![\d.,]){pattern}(?![.,]?\d)"
        matches = {match.groups() for match in re.finditer(pattern, _one_line(text))}
        if len(matches) != 1:
            count = "several times" if matches else "not"
            return Finding(claim, Verdict.MOVED, note=f"{claim.file} has these words {count}")
        found = [_value(number) for number in matches.pop()]
    holds = [
        _holds(stated, value, claim.allowed(k))
        for k, (stated, value) in enumerate(zip(claim.stated, found, strict=True))
    ]
    if not all(holds):
        return Finding(claim, Verdict.MOVED, found)
    judged = not claim.stated or any(map(math.isfinite, claim.spread))
    return Finding(claim, Verdict.HOLDS if judged else Verdict.SHOWN, found)


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def _half_a_unit(number: str) -> float:
    """Half a unit of the last digit that is printed."""
    mantissa, _, exponent = number.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return float(0.5 * 10.0 ** (int(exponent or 0) - decimals))


def _holds(stated: str, found: float, spread: float) -> bool:
    # The last factor is for binary fractions: 0.125 as 0.12 or 0.13.
    return abs(found - _value(stated)) <= (spread + _half_a_unit(stated)) * (1 + 1e-9)


def _compare_whole(claim: Claim, stated: str, found: str) -> Finding:
    """Two texts: equal but for their numbers, and these within the spread."""
    stated, found = (_FIGURE_ID.sub("id", text) for text in (stated, found))
    words = [re.split(_NUMBER, text) for text in (stated, found)]
    if words[0] != words[1]:
        at = next((k for k, (a, b) in enumerate(zip(*words, strict=False)) if a != b), -1)
        return Finding(claim, Verdict.MOVED, note=f"the text differs at {words[0][at]!r:.60}")
    numbers = [re.findall(_NUMBER, text) for text in (stated, found)]
    for ours, theirs in zip(*numbers, strict=True):
        if not _holds(ours, _value(theirs), claim.allowed(0)):
            return Finding(claim, Verdict.MOVED, note=f"{ours} has become {theirs}")
    return Finding(claim, Verdict.HOLDS, note=f"{len(numbers[0])} numbers")


def _evaluate(expression: str, document: Any) -> float:
    """Arithmetic over pointers: ``100 * /points/2/mean``, ``/rows/label=total/'a key'``."""
    names: dict[str, float] = {}

    def name(match: re.Match[str]) -> str:
        names[f"p{len(names)}"] = _look_up(match[0], document)
        return f"p{len(names) - 1}"

    return evaluate(_POINTER.sub(name, expression), names)


def _look_up(pointer: str, document: Any) -> float:
    """The number at a pointer; a step ``key=value`` (``&`` more) is the first such item."""
    at = document
    for step, quoted in _STEP.findall(pointer):
        if quoted:
            at = at[quoted]
        elif "=" in step:
            wanted = dict(pair.split("=") for pair in step.split("&"))
            items = [i for i in at if all(str(i[key]) == value for key, value in wanted.items())]
            at = items[0]
        else:
            at = at[int(step)] if isinstance(at, list) else at[step]
    if isinstance(at, bool) or not isinstance(at, int | float):
        raise ValueError(f"{pointer} is no number")
    return float(at)
