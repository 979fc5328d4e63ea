"""The register table: one description for the gateware, the C header and the documentation.

:func:`register_table` lists every register of a configuration;
:class:`~hw.register_file.RegisterFile` makes its ports and its decoder from the list,
:func:`to_c_header` and :func:`to_markdown` write it for programmers and readers.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from model.activity import ACTIVITY_DOC
from model.chi_protection import code_of
from model.config import Config, ScalePolicy, SkipPolicy
from model.frames import FrameError

__all__ = [
    "ADDRESS_BITS",
    "CONTROL_FIELDS",
    "ERROR_FIELDS",
    "ID",
    "VERSION",
    "VERSION_FIELDS",
    "Access",
    "Field",
    "Register",
    "check_table",
    "counter_registers",
    "register_table",
    "table_to_c_header",
    "to_c_header",
    "to_markdown",
    "whole",
]

ADDRESS_BITS = 12
"""Width of a register's byte address: 4 KiB, the smallest region that AXI4 interconnects decode."""

ID = 0x4D58_4252
"""What the register ID reads: "MXBR" in ASCII."""

VERSION = (1, 0)
"""Version of this register map: major changes break a driver, minor ones add registers."""


class Access(enum.Enum):
    """How the host and the unit share a register."""

    #: The host reads a constant of the configuration.
    CONSTANT = "constant"
    #: The host reads what the unit shows.
    RO = "ro"
    #: As RO, but the unit is asked at each read, may take its time and may refuse.
    FETCHED = "fetched"
    #: The host reads and writes; the unit reads.
    RW = "rw"
    #: The unit sets bits, which stay until the host writes a one to them.
    W1C = "w1c"


@dataclass(frozen=True, kw_only=True)
class Field:
    """Adjacent bits of a register with one meaning."""

    name: str
    """In C style; "value" for a field that is the whole of its register."""

    meaning: str
    """A few words for the documentation."""

    low: int = 0
    """Number of the lowest bit."""

    width: int = 32
    """Bits on the bus, where a negative value is in two's complement of this width."""

    minimum: int = 0
    """Smallest value; a write below is refused."""

    maximum: int | None = None
    """Largest value, the largest of ``width`` bits if not given; a write above is refused."""

    reset: int = 0
    """Value after reset; for a constant its value."""

    values: tuple[str, ...] = ()
    """Names of the values 0, 1, ..., where the field is an enumeration."""

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest value the field may take."""
        highest = 2 ** (self.width - (self.minimum < 0)) - 1
        return self.minimum, highest if self.maximum is None else self.maximum

    @property
    def is_checked(self) -> bool:
        """Whether some value of its bits is not allowed."""
        low, high = self.bounds
        return high - low + 1 < 2**self.width

    @property
    def mask(self) -> int:
        """Its bits in the register."""
        return (2**self.width - 1) << self.low

    def encode(self, value: int) -> int:
        """The register's bits when this field holds ``value`` and all else is zero."""
        return (value << self.low) & self.mask

    def decode(self, bits: int) -> int:
        """The value of this field in the register's bits; the inverse of :meth:`encode`."""
        value = (bits & self.mask) >> self.low
        is_negative = self.minimum < 0 and value >> (self.width - 1)
        return value - 2**self.width if is_negative else value


@dataclass(frozen=True, kw_only=True)
class Register:
    """One register of 32 bits, or of 64 bits as two words, the low one first."""

    name: str
    """In C style, upper case."""

    offset: int
    """Byte address of its (low) word, a multiple of 4."""

    access: Access
    """Who reads and writes."""

    meaning: str
    """One sentence for the documentation."""

    fields: tuple[Field, ...]
    """Its fields; bits outside are zero when read, ignored when written."""

    width: int = 32
    """32, or 64 for a counter (read only, one field)."""

    @property
    def reset(self) -> int:
        """Bits after reset."""
        return sum(field.encode(field.reset) for field in self.fields)

    def port(self, field: Field) -> str:
        """Name of the gateware port that carries a field."""
        name = self.name if field.name == "value" else f"{self.name}_{field.name}"
        return name.lower()


def whole(
    meaning: str, *, width: int = 32, minimum: int = 0, maximum: int | None = None, reset: int = 0
) -> tuple[Field, ...]:
    """The only field of a register that is one value."""
    return (
        Field(
            name="value",
            meaning=meaning,
            width=width,
            minimum=minimum,
            maximum=maximum,
            reset=reset,
        ),
    )


# Fields of registers that every unit has.

VERSION_FIELDS = (
    Field(name="minor", low=0, width=16, reset=VERSION[1], meaning="grows with additions"),
    Field(name="major", low=16, width=16, reset=VERSION[0], meaning="grows with changes"),
)
CONTROL_FIELDS = (
    Field(name="run", low=0, width=1, meaning="take images; 0 stops after the current"),
    Field(name="train", low=1, width=1, meaning="train on them; 0 only classifies"),
)
ERROR_FIELDS = (
    *(
        Field(name=error.name.lower(), low=error, width=1, meaning=error.meaning)
        for error in FrameError
    ),
    Field(
        name="array_timeout",
        low=len(FrameError),
        width=1,
        meaning="an array did not answer in time",
    ),
)

_CHI_LOST = (
    Field(
        name="chi_lost",
        low=len(FrameError) + 1,
        width=1,
        meaning="a word of chi was wrong and counted as zero",
    ),
)


def _constants(config: Config) -> list[Register]:
    network = config.network
    geometry = (
        Field(name="lanes", low=0, width=8, reset=config.update.lanes, meaning="bytes of a beat"),
        Field(name="layers", low=8, width=8, reset=network.n_layers, meaning="weight layers"),
        Field(
            name="adc_bits", low=16, width=8, reset=config.converter.adc_bits, meaning="ADC code"
        ),
        Field(
            name="chi_bits", low=24, width=8, reset=config.update.chi_bits, meaning="accumulator"
        ),
    )
    registers = [
        ("ID", "Recognises the unit.", whole('"MXBR" in ASCII', reset=ID)),
        ("VERSION", "Version of this register map.", VERSION_FIELDS),
        ("GEOMETRY", "Widths inside the unit.", geometry),
        ("CHI_DEPTH", "Size of the chi memory.", whole("words", reset=config.chi_depth)),
    ]
    for k in range(4):
        units = network.layers[k] if k < len(network.layers) else 0
        what = "Inputs" if k == 0 else f"Units of layer {k}"
        registers.append(
            (f"UNITS_{k}", f"{what}, bias not counted.", whole("0: none", reset=units))
        )
    return [
        Register(name=name, offset=4 * k, access=Access.CONSTANT, meaning=meaning, fields=fields)
        for k, (name, meaning, fields) in enumerate(registers)
    ]


def _controls(config: Config) -> list[Register]:
    update = config.update
    scale_policies, skip_policies = list(ScalePolicy), list(SkipPolicy)
    return [
        Register(
            name="CONTROL",
            offset=0x40,
            access=Access.RW,
            meaning="Starts and stops; takes effect at the next image.",
            fields=CONTROL_FIELDS,
        ),
        Register(
            name="STATUS",
            offset=0x44,
            access=Access.RO,
            meaning="What the unit is doing.",
            fields=(
                Field(name="idle", low=0, width=1, meaning="no image under way, no pulse due"),
                Field(name="image_ready", low=1, width=1, meaning="an image waits to be taken"),
                Field(name="initialising", low=2, width=1, meaning="chi is being cleared"),
                Field(name="result_waiting", low=3, width=1, meaning="a result has not left"),
            ),
        ),
        Register(
            name="LEARNING_RATE",
            offset=0x48,
            access=Access.RW,
            meaning="Learning-rate exponent: the rate doubles with every step.",
            fields=(
                Field(
                    name="log2",
                    width=8,
                    minimum=-32,
                    maximum=31,
                    reset=update.learning_rate_log2,
                    meaning="signed",
                ),
            ),
        ),
        Register(
            name="EPSILON",
            offset=0x4C,
            access=Access.RW,
            meaning="Threshold of one pulse. Lower it only while chi is zero: what lies in chi "
            "must stay below the new threshold.",
            fields=(
                Field(
                    name="log2",
                    width=8,
                    minimum=2,
                    maximum=update.chi_bits - 4,
                    reset=update.epsilon_log2,
                    meaning="log2 in LSBs of chi",
                ),
            ),
        ),
        Register(
            name="SCALE_POLICY",
            offset=0x50,
            access=Access.RW,
            meaning="Where the shared scale of an error vector comes from.",
            fields=(
                Field(
                    name="value",
                    width=8,
                    maximum=len(scale_policies) - 1,
                    reset=scale_policies.index(update.scale_policy),
                    values=tuple(scale_policies),
                    meaning="own or running maximum",
                ),
            ),
        ),
        Register(
            name="SKIP_POLICY",
            offset=0x54,
            access=Access.RW,
            meaning="When the backward products and the update of an image are skipped.",
            fields=(
                Field(
                    name="value",
                    width=8,
                    maximum=len(skip_policies) - 1,
                    reset=skip_policies.index(update.skip_policy),
                    values=tuple(skip_policies),
                    meaning="never, no output error, no output code",
                ),
            ),
        ),
        Register(
            name="ERRORS",
            offset=0x58,
            access=Access.W1C,
            meaning="Sticky errors; a malformed frame is dropped whole.",
            fields=ERROR_FIELDS + (_CHI_LOST if code_of(config) else ()),
        ),
        Register(
            name="CHI_ADDRESS",
            offset=0x60,
            access=Access.RW,
            meaning="Word of chi to read: base of the layer + unit * words + word.",
            fields=whole("address", maximum=config.chi_depth - 1),
        ),
        Register(
            name="CHI_LANE",
            offset=0x64,
            access=Access.RW,
            meaning="Lane of the word to read.",
            fields=whole("lane", width=8, maximum=update.lanes - 1),
        ),
        Register(
            name="CHI_DATA",
            offset=0x68,
            access=Access.FETCHED,
            meaning="The accumulator there, sign-extended; refused unless the unit is idle.",
            fields=whole("signed", minimum=-(2**31)),
        ),
    ]


def counter_registers(activities: Iterable[tuple[enum.IntEnum, str]]) -> list[Register]:
    """A counter for every activity, given with its meaning, and one of idle cycles."""
    counters = [(activity.name, meaning) for activity, meaning in sorted(activities)]
    counters.append(("CYCLES_IDLE", "cycles without an image under way"))
    return [_counter(name, 0x100 + 8 * k, meaning) for k, (name, meaning) in enumerate(counters)]


def _counter(name: str, offset: int, meaning: str) -> Register:
    return Register(
        name=f"COUNT_{name}",
        offset=offset,
        access=Access.RO,
        meaning=f"Counter since reset: {meaning}.",
        fields=whole("read low, which holds high still", width=64),
        width=64,
    )


def _chi_counters(config: Config) -> list[Register]:
    """What the chi memory reports, if it has check bits."""
    if code_of(config) is None:
        return []
    return [
        _counter("CHI_CORRECTED", 0x200, "words of chi that an update found wrong, corrected"),
        _counter("CHI_LOST", 0x208, "words of chi that an update found wrong, taken as zero"),
    ]


def register_table(config: Config) -> tuple[Register, ...]:
    """Every register of a configuration, by rising offset."""
    return (
        *_constants(config),
        *_controls(config),
        *counter_registers(ACTIVITY_DOC.items()),
        *_chi_counters(config),
    )


def check_table(registers: Iterable[Register]) -> None:
    """Raises ValueError where names, offsets or bits collide or a reset value is out of range."""
    used: set[int] = set()
    names: set[str] = set()
    for register in registers:
        for offset in range(register.offset, register.offset + register.width // 8, 4):
            if offset % 4 or offset >= 2**ADDRESS_BITS or offset in used:
                raise ValueError(
                    f"Offset 0x{offset:X} of {register.name} must be a free multiple of 4 below "
                    f"0x{2**ADDRESS_BITS:X}."
                )
            used.add(offset)
        if register.name in names:
            raise ValueError(f"There must be only one register {register.name}.")
        names.add(register.name)
        taken = 0
        for field in register.fields:
            if field.mask & taken or field.mask >> register.width:
                raise ValueError(
                    f"Field {field.name} of {register.name} must have bits of its own."
                )
            if not field.bounds[0] <= field.reset <= field.bounds[1]:
                raise ValueError(
                    f"Reset value of {register.name}.{field.name} must lie in its range, "
                    f"not be {field.reset}."
                )
            taken |= field.mask


# Generated texts


def to_c_header(config: Config) -> str:
    """The table as a C header (C99): byte offsets, masks, shifts, resets, names of values."""
    return table_to_c_header(config.name, register_table(config))


def table_to_c_header(configuration: str, registers: Iterable[Register]) -> str:
    """As :func:`to_c_header`, for any table; ``configuration``: its name."""
    guard = f"MIXBAR_{configuration.upper()}_REGISTERS_H"
    lines = [
        f"/* Registers of the mixbar digital unit, configuration {configuration}. Generated. */",
        f"#ifndef {guard}",
        f"#define {guard}",
    ]

    def define(name: str, value: str) -> None:
        lines.append(f"#define MIXBAR_{name} {value}")

    for register in registers:
        lines += ["", f"/* {register.meaning} ({_access_text(register.access)}) */"]
        define(f"{register.name}_OFFSET", f"0x{register.offset:03X}u")
        if register.width == 64:
            define(f"{register.name}_HIGH_OFFSET", f"0x{register.offset + 4:03X}u")
            continue
        for field in register.fields:
            name = (
                register.name if field.name == "value" else f"{register.name}_{field.name.upper()}"
            )
            define(f"{name}_SHIFT", str(field.low))
            define(f"{name}_MASK", f"0x{field.mask:08X}u")
            if register.access is Access.CONSTANT:
                define(f"{name}_VALUE", f"0x{field.reset:X}u")
            elif register.access is Access.RW:
                define(f"{name}_RESET", f"({field.reset})" if field.reset < 0 else str(field.reset))
            for value, text in enumerate(field.values):
                define(f"{name}_{text.upper()}", str(value))
    lines += ["", f"#endif /* {guard} */", ""]
    return "\n".join(lines)


def to_markdown(config: Config) -> str:
    """The table as a documentation page."""
    rows = [
        "| offset | register | access | reset | bits | field | meaning |",
        "|---|---|---|---|---|---|---|",
    ]
    for register in register_table(config):
        is_wide = register.width == 64
        offset = f"`0x{register.offset:03X}`"
        if is_wide:
            offset += f", `0x{register.offset + 4:03X}`"
        access = _access_text(register.access)
        has_reset = register.access not in (Access.RO, Access.FETCHED)
        reset = f"`0x{register.reset:X}`" if has_reset else ""
        rows.append(f"| {offset} | {register.name} | {access} | {reset} | | | {register.meaning} |")
        rows += (f"| | | | | {_field_cells(field)} |" for field in register.fields if not is_wide)
    return _PAGE.format(name=config.name, table="\n".join(rows))


def _access_text(access: Access) -> str:
    is_read_only = access in (Access.CONSTANT, Access.RO, Access.FETCHED)
    return "ro" if is_read_only else access.value


def _field_cells(field: Field) -> str:
    high = field.low + field.width - 1
    bits = str(high) if field.width == 1 else f"{high}:{field.low}"
    meaning = field.meaning
    if field.values:
        meaning += ": " + ", ".join(f"{value} {text}" for value, text in enumerate(field.values))
    elif field.is_checked:
        meaning += "; {}..{}".format(*field.bounds)
    return f"{bits} | {field.name} | {meaning}"


_PAGE = """\
# Registers

Generated from `hw/registers.py` for `{name}`; the same table makes the gateware and the C header
that `mixbar emit` writes beside the Verilog. Constants and reset values follow the configuration.

- All registers are 32 bits wide, at byte offsets that are multiples of 4; the two low address bits
  are ignored.
- `ro` is read only, `rw` read and write, `w1c` write one to clear.
- An access outside the table, a write to a read-only register and a write that would put a field
  outside its range answer SLVERR and change nothing; a refused read gives zero.
- A partial write (WSTRB) changes only the bytes it names; the range is checked on the result. In a
  `w1c` register it clears only ones in the bytes it names. With no byte named, a write to a
  writable register changes nothing and is answered OKAY, unless it would have been refused.
- Bits outside all fields read zero and are ignored when written.
- Counters are 64 bits wide: a read of the low word also stores the high word, which the next read
  of the high word gives. Read low, then high, of one counter, with no other reader in between.
- With `update.chi_protection`, ERRORS has one bit more, 4 `chi_lost`, and two counters follow:
  COUNT_CHI_CORRECTED at 0x200, COUNT_CHI_LOST at 0x208 ([chi memory](chi_memory.md#check-bits)).
- A setting takes effect at the next image; write settings while the unit is idle or between images.

{table}
"""
