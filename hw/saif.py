"""Switching activity (SAIF) of a simulation: toggles and time at one of every net."""

import re
from dataclasses import dataclass, field

from hw.errors import SynthesisError

__all__ = ["Instance", "NetActivity", "read_saif"]


@dataclass(frozen=True)
class NetActivity:
    """What a net did."""

    toggles: int
    """Changes of its value."""
    duty: float
    """Share of the time at one, 0..1."""


@dataclass
class Instance:
    """An instance of a module: its nets and the instances in it."""

    nets: dict[str, NetActivity] = field(default_factory=dict)
    instances: dict[str, "Instance"] = field(default_factory=dict)


_WORD = re.compile(r'"[^"]*"|[()]|[^\s()"]+')


def read_saif(text: str, *, start: float = 0.0) -> tuple[Instance, float]:
    """The top instance of a SAIF file, and its duration in the file's time unit.

    Net names are those of the design: escapes before brackets are dropped.

    Parameters
    ----------
    text
        The file's.
    start
        Time at which recording began. Verilator counts what lies before as time at zero, and so a
        net that is high at first as toggled once.

    Raises
    ------
    SynthesisError
        If the text is no SAIF file.
    """
    words = _WORD.findall(re.sub(r"^//.*$", "", text, flags=re.MULTILINE))
    duration = re.search(r"\(\s*DURATION\s+([0-9.]+)", text)
    if "SAIFILE" not in words[:3] or duration is None or float(duration[1]) <= start:
        raise SynthesisError("The activity is no SAIF file with a duration.")
    length, root = float(duration[1]) - start, Instance()
    stack: list[Instance] = [root]
    depths: list[int] = []
    depth, at = 0, 0
    net: str | None = None
    values: dict[str, float] = {}
    while at < len(words):
        word = words[at]
        if word == "(":
            depth += 1
            head = words[at + 1]
            if head == "INSTANCE":
                name = words[at + 2]
                child = stack[-1].instances.setdefault(_plain(name), Instance())
                stack.append(child)
                depths.append(depth)
                at += 2
            elif head in ("T0", "T1", "TX", "TC") and net is not None:
                values[head] = float(words[at + 2])
            elif head not in ("NET", "PORT") and len(stack) > 1 and head not in _KEYS:
                net, values = _plain(head), {}
        elif word == ")":
            if net is not None and "TC" in values and words[at - 1] == ")":
                stack[-1].nets[net] = NetActivity(int(values["TC"]), values.get("T1", 0) / length)
                net = None
            if depths and depth == depths[-1]:
                stack.pop()
                depths.pop()
            depth -= 1
        at += 1
    return root, length


_KEYS = {"T0", "T1", "TX", "TZ", "TB", "TC", "IG", "IK"}


def _plain(name: str) -> str:
    return name.replace("\\", "").strip('"')
