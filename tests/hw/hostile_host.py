"""A host that keeps the rules of AXI and no other: what else may come over the buses of a unit.

Beside good images it sends malformed frames, and reads and writes registers at any address with any
bytes, both at random paces. Every access must be answered once, as
:class:`cocotb_tests.register_model.RegisterModel` says; the images' checks are the simulation's.
"""

import copy
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Value

from cocotb_tests.register_model import RegisterModel
from hw.axi import AXIResponse
from hw.in_situ.registers import register_table as learning_registers
from hw.registers import Access, Register, register_table
from model.frames import UnitSizes, frame_error, image_frame
from model.in_situ.config import InSituConfig
from tests.hw.frame_sim import BrokenContract, Host, random_batch
from tests.hw.in_situ.learning_sim import run_learning
from tests.hw.test_input_buffer import random_frame
from tests.hw.unit_sim import UnitHost, run_unit

__all__ = ["HostileHost", "HostileUnitHost", "RegisterAccess", "Traffic", "hosts", "run_hostile"]

PATIENCE = 500
"""Cycles in which something must move."""

N_IMAGES = 3
"""Good images among the traffic; of learning units a mini-batch."""

FREE = ("CHI_ADDRESS", "CHI_LANE")
"""Registers whose values change nothing in the unit's work."""


@dataclass(frozen=True)
class RegisterAccess:
    """A read, or a write of some bytes."""

    address: int
    data: int | None = None
    """None for a read."""
    strobes: int = 15


@dataclass(frozen=True)
class Traffic:
    """What comes beside the images of a batch."""

    frames: Sequence[npt.NDArray[np.uint8]]
    """Malformed frames, uint8 ``[n_beats, lanes]``, TLAST on the last beat; one before each image
    and the rest behind the last."""
    accesses: Sequence[RegisterAccess]
    paces: Sequence[str]
    """When beats and addresses are offered and answers taken, in the order image, aw, w, ar, b, r,
    and again from the first if there are fewer; as the patterns of :mod:`tests.hw.hw_sim`."""


class _Channel:
    """One of the five channels: what is offered and what was taken, a cycle at a time."""

    def __init__(self, bus: Any, name: str, pace: str, fields: tuple[str, ...]) -> None:
        self.valid, self.ready = getattr(bus, f"{name}valid"), getattr(bus, f"{name}ready")
        self.fields = [Value.cast(getattr(bus, f"{name}{field}")) for field in fields]
        self.pace = cycle(pace)


class _Source(_Channel):
    """Offers what is in its queue; an offer stays until it is taken."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.queue: deque[tuple[int, ...]] = deque()
        self.offered = False

    def drive(self, ctx: Any) -> None:
        if not self.offered and self.queue and next(self.pace) == "1":
            self.offered = True
        ctx.set(self.valid, self.offered)
        # Between offers everything is ones.
        values = self.queue[0] if self.offered else (-1,) * len(self.fields)
        for field, value in zip(self.fields, values, strict=True):
            ctx.set(field, value)

    def took(self, ready: int) -> bool:
        if not (self.offered and ready):
            return False
        self.offered = False
        self.queue.popleft()
        return True


class _Sink(_Channel):
    """Takes answers at its pace and compares them, None is any, with those that are due."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.due: deque[tuple[int | None, ...]] = deque()

    def drive(self, ctx: Any) -> None:
        self.taking = next(self.pace) == "1"
        ctx.set(self.ready, self.taking)

    def took(self, valid: int, *values: int) -> bool:
        if not valid:
            return False
        if not self.due:
            raise BrokenContract(f"An answer {values} that nobody asked for.")
        if self.taking:
            expected = self.due.popleft()
            for value, right in zip(values, expected, strict=True):
                if right is not None and value != right:
                    raise BrokenContract(f"The answer {values} to an access, not {expected}.")
        return self.taking


class HostileHost(Host):
    """A host whose images come among ``traffic``.

    Accesses are sent in groups of reads and of writes, each group after the answers of the last;
    within a group they follow each other at once, data before or after its address.
    """

    traffic: Traffic
    answers: int = 0
    """Accesses that were answered."""
    errors: int = 0
    """Malformed frames that were sent."""

    def __init__(self, config: UnitSizes, unit: Any, registers: Iterable[Register]) -> None:
        self.table = tuple(registers)
        super().__init__(config, unit, self.table)
        self.model = RegisterModel(self.table)

    async def write(self, ctx: Any, name: str, value: int) -> None:
        """As of any host; the model knows of it."""
        self.model.write(self.offsets[name], value & 0xFFFF_FFFF)
        await super().write(ctx, name, value)

    async def send(
        self,
        ctx: Any,
        images: Iterable[tuple[npt.NDArray[np.uint8], int]],
        offers: Iterator[str],
        *,
        short_frames: bool,
    ) -> int:
        """Images and traffic, until all is sent and answered."""
        bus, stream, paces = self.unit.s_axi, self.unit.s_axis_image, cycle(self.traffic.paces)
        beats = _Source(stream, "t", next(paces), ("data", "last"))
        address = _Source(bus, "aw", next(paces), ("addr",))
        data = _Source(bus, "w", next(paces), ("data", "strb"))
        read = _Source(bus, "ar", next(paces), ("addr",))
        written = _Sink(bus, "b", next(paces), ("resp",))
        answered = _Sink(bus, "r", next(paces), ("resp", "data"))
        sources, sinks = (beats, address, data, read), (written, answered)

        good = [image_frame(image, label, self.config) for image, label in images]
        bad = deque(self.traffic.frames)
        expected = 0
        for frame in good:
            ahead = [bad.popleft()] if bad else []
            for item in (*ahead, frame):
                expected |= self._queue(beats, item)
        for frame in bad:
            expected |= self._queue(beats, frame)
        groups = deque(self._groups())
        waited = 0
        # What comes too late would be seen in the last cycles.
        rest = 12
        while rest:
            if groups and not any(sink.due for sink in sinks):
                self._ask(groups.popleft(), address, data, read, written, answered)
            for channel in (*sources, *sinks):
                channel.drive(ctx)
            sampled = [source.ready for source in sources]
            for sink in sinks:
                sampled += [sink.valid, *sink.fields]
            _, _, *values = await ctx.tick().sample(*sampled)
            moved = [
                *(source.took(ready) for source, ready in zip(sources, values[:4], strict=True)),
                written.took(*values[4:6]),
                answered.took(*values[6:9]),
            ]
            self.answers += sum(moved[4:])
            waited = 0 if any(moved) else waited + 1
            if waited > PATIENCE:
                raise BrokenContract(f"Nothing moved for {PATIENCE} cycles.")
            busy = groups or any(sink.due for sink in sinks) or any(s.queue for s in sources)
            rest = 12 if busy else rest - 1
        for channel in (*sources, *sinks):
            ctx.set(channel.valid if channel in sources else channel.ready, 0)
        return expected

    def _queue(self, beats: _Source, frame: npt.NDArray[np.uint8]) -> int:
        """Queues a frame; returns its bit in the error register, 0 of a good one."""
        for k, beat in enumerate(frame):
            word = int.from_bytes(beat.tobytes(), "little")
            beats.queue.append((word, int(k == len(frame) - 1)))
        error = frame_error(frame, self.config)
        self.errors += error is not None
        return 0 if error is None else 1 << error

    def _groups(self) -> list[list[RegisterAccess]]:
        groups: list[list[RegisterAccess]] = []
        for access in self.traffic.accesses:
            if not groups or (groups[-1][-1].data is None) != (access.data is None):
                groups.append([])
            groups[-1].append(access)
        return groups

    def _ask(
        self,
        group: Sequence[RegisterAccess],
        address: _Source,
        data: _Source,
        read: _Source,
        written: _Sink,
        answered: _Sink,
    ) -> None:
        for access in group:
            if access.data is None:
                read.queue.append((access.address,))
                answered.due.append(self._answer(access.address))
                continue
            strobes = access.strobes if self._is_harmless(access) else 0
            address.queue.append((access.address,))
            data.queue.append((access.data, strobes))
            written.due.append((self.model.write(access.address, access.data, strobes).value,))

    def _is_harmless(self, access: RegisterAccess) -> bool:
        """Whether a write leaves the unit's work and the errors alone."""
        register = self.model.table.get(access.address & ~3)
        if register is None or register.name in FREE:
            return True
        assert access.data is not None
        after = copy.deepcopy(self.model)
        after.write(access.address, access.data, access.strobes)
        return register.access is not Access.W1C and after.bits == self.model.bits

    def _answer(self, address: int) -> tuple[int | None, int | None]:
        """Response and data of a read; None where the unit's work decides."""
        response, value = self.model.read(address)
        register = self.model.table.get(address & ~3)
        if register is None:
            # Also the high words of counters.
            return response.value, None if response is AXIResponse["OKAY"] else 0
        if register.access is Access.FETCHED:
            return None, None
        shown = register.access in (Access.CONSTANT, Access.RW)
        return response.value, value if shown else None


class HostileUnitHost(HostileHost, UnitHost):
    """Of a digital unit."""


def hosts(
    kind: type[HostileHost], traffic: Traffic
) -> tuple[Callable[..., HostileHost], list[HostileHost]]:
    """What makes a host with this traffic, and where it is found afterwards."""
    made: list[HostileHost] = []

    def host(*arguments: Any) -> HostileHost:
        made.append(kind(*arguments))
        made[0].traffic = traffic
        return made[0]

    return host, made


def _pace(rng: random.Random) -> str:
    return "".join(rng.choices("01", k=rng.randint(0, 4))) + "1"


def _access(rng: random.Random, table: Sequence[Register]) -> RegisterAccess:
    near = rng.choice(table).offset + rng.choice((0, 0, 0, 1, 3, 4))
    data = rng.choice((None, None, rng.randrange(64), rng.getrandbits(32)))
    return RegisterAccess(rng.choice((near, near, rng.randrange(4096))), data, rng.randrange(16))


def random_traffic(rng: random.Random, config: UnitSizes, table: Sequence[Register]) -> Traffic:
    """Malformed frames of every kind and accesses of every kind, mostly near registers."""
    noise = np.random.default_rng(rng.getrandbits(32))
    kinds = rng.choices(("short", "long", "bad_label"), k=rng.randint(0, 2 * N_IMAGES))
    return Traffic(
        [random_frame(noise, config, kind) for kind in kinds],
        [_access(rng, table) for _ in range(rng.randint(0, 60))],
        [_pace(rng) for _ in range(6)],
    )


def run_hostile(config: Any, rng: random.Random) -> None:
    """A few good images among random traffic through a whole unit.

    Raises
    ------
    Mismatch, Hang, BrokenContract
        As :func:`tests.hw.unit_sim.run_unit`.
    """
    learns_in_situ = isinstance(config, InSituConfig)
    table = learning_registers(config) if learns_in_situ else register_table(config)
    traffic = random_traffic(rng, config, table)
    host, made = hosts(HostileHost if learns_in_situ else HostileUnitHost, traffic)
    n_images = config.update.batch if learns_in_situ else N_IMAGES
    batch = random_batch(config, n_images, seed=3)
    if learns_in_situ:
        checker: Any = run_learning(config, batch, host=host, stall=_pace(rng))
    else:
        checker = run_unit(config, batch, host=host, stall=_pace(rng)).checker
    assert checker.images == checker.checked_results == n_images
    assert made[0].answers == len(traffic.accesses)
    assert made[0].errors == len(traffic.frames)
