"""Register table: free of overlaps, and the same in the C header and the documentation."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hw.registers import (
    Access,
    Field,
    Register,
    check_table,
    register_table,
    to_c_header,
    to_markdown,
)
from model.activity import Activity
from model.config import ChiProtection, Config, ScalePolicy, SkipPolicy
from model.configurations import mca_mlp, of_system, tiny_mca

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "registers.md"

TABLE = (
    Register(
        name="COUNT",
        offset=0x100,
        access=Access.RO,
        meaning="",
        fields=(Field(name="value", width=64, meaning=""),),
        width=64,
    ),
)


def by_name(table: tuple[Register, ...]) -> dict[str, Register]:
    return {register.name: register for register in table}


@pytest.mark.parametrize("config", of_system(Config).values(), ids=of_system(Config))
def test_tables_are_sound(config: Config) -> None:
    table = register_table(config)
    check_table(table)
    assert [r.offset for r in table] == sorted(r.offset for r in table)
    assert len(by_name(table)) == len(table)
    # Offsets are the interface: the same in every configuration.
    assert [(r.name, r.offset) for r in table] == [
        (r.name, r.offset) for r in register_table(mca_mlp)
    ]


def test_reset_values_follow_the_configuration() -> None:
    update = replace(
        tiny_mca.update,
        chi_bits=20,
        epsilon_log2=9,
        learning_rate_log2=-7,
        scale_policy=ScalePolicy.OWN,
        skip_policy=SkipPolicy.ZERO_CODES,
    )
    registers = by_name(register_table(replace(tiny_mca, update=update)))
    assert registers["EPSILON"].reset == 9
    assert registers["EPSILON"].fields[0].bounds == (2, 16)
    assert registers["LEARNING_RATE"].reset == 0x100 - 7
    assert registers["SCALE_POLICY"].reset == 0
    assert registers["SKIP_POLICY"].reset == 2
    assert registers["GEOMETRY"].reset == 20 << 24 | 8 << 16 | 2 << 8 | 8
    assert [registers[f"UNITS_{k}"].reset for k in range(4)] == [20, 9, 4, 0]


@pytest.mark.parametrize("protection", [ChiProtection.PARITY, ChiProtection.SECDED])
def test_check_bits_add_registers(protection: ChiProtection) -> None:
    """Two counters and an error bit, behind all that a unit without check bits has."""
    update = replace(tiny_mca.update, chi_protection=protection)
    config = replace(tiny_mca, update=update)
    plain, table = register_table(tiny_mca), register_table(config)
    check_table(table)
    assert [(r.name, r.offset) for r in table[: len(plain)]] == [(r.name, r.offset) for r in plain]
    added = {r.name: r.offset for r in table[len(plain) :]}
    assert added == {"COUNT_CHI_CORRECTED": 0x200, "COUNT_CHI_LOST": 0x208}
    errors, before = by_name(table)["ERRORS"].fields, by_name(plain)["ERRORS"].fields
    assert [field.name for field in errors] == [*(field.name for field in before), "chi_lost"]
    header = to_c_header(config)
    assert "#define MIXBAR_COUNT_CHI_LOST_OFFSET 0x208u" in header
    assert "#define MIXBAR_ERRORS_CHI_LOST_MASK 0x00000010u" in header
    assert "CHI_LOST" not in to_c_header(tiny_mca)


def test_every_counter_has_a_register() -> None:
    registers = by_name(register_table(tiny_mca))
    for activity in Activity:
        assert registers[f"COUNT_{activity.name}"].offset == 0x100 + 8 * activity
        assert registers[f"COUNT_{activity.name}"].width == 64


@pytest.mark.parametrize("value", [-5, -1, 0, 3])
def test_field_encodes_and_decodes(value: int) -> None:
    field = Field(name="f", low=4, width=5, minimum=-5, maximum=3, meaning="")
    assert field.encode(value) & ~field.mask == 0
    assert field.decode(field.encode(value) | ~field.mask & 0xFFFFFFFF) == value
    assert field.is_checked


@pytest.mark.parametrize("name", ["OUTSIDE", "OVERLAP", "ODD"])
def test_check_table_wrong_offset(name: str) -> None:
    offset = {"OUTSIDE": 0x1000, "OVERLAP": 0x104, "ODD": 0x016}[name]
    field = (Field(name="value", meaning=""),)
    wrong = Register(name=name, offset=offset, access=Access.RO, meaning="", fields=field)
    with pytest.raises(ValueError, match=f"of {name} must be a free multiple of 4"):
        check_table([*TABLE, wrong])


def test_check_table_wrong_name() -> None:
    with pytest.raises(ValueError, match="There must be only one register COUNT"):
        check_table([*TABLE, replace(TABLE[0], offset=0)])


def test_check_table_wrong_field() -> None:
    def table(**settings: Any) -> list[Register]:
        fields = (
            Field(name="one", low=0, width=4, meaning=""),
            Field(name="two", meaning="", **settings),
        )
        return [Register(name="R", offset=0, access=Access.RW, meaning="", fields=fields)]

    for low, width in ((3, 2), (30, 3)):
        with pytest.raises(ValueError, match="Field two of R must have bits of its own"):
            check_table(table(low=low, width=width))
    with pytest.raises(ValueError, match=r"Reset value of R\.two must lie in its range, not be 3"):
        check_table(table(low=4, width=4, maximum=2, reset=3))


def test_page_is_generated_from_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == to_markdown(mca_mlp)


def test_c_header_means_what_the_table_says(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler on PATH")
    header = to_c_header(tiny_mca)
    names = re.findall(r"^#define (MIXBAR_\w+) \S", header, re.MULTILINE)
    lines = "".join(f'    printf("{name} %lld\\n", (long long)({name}));\n' for name in names)
    (tmp_path / "registers.h").write_text(header)
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "registers.h"\n#include "registers.h"\n'
        f"int main(void) {{\n{lines}    return 0;\n}}\n"
    )
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    subprocess.run([compiler, *flags, "main.c", "-o", "main"], cwd=tmp_path, check=True, timeout=60)
    output = subprocess.run(
        [tmp_path / "main"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    values = {name: int(value) for name, value in map(str.split, output.splitlines())}

    expected: dict[str, Any] = {}
    for register in register_table(tiny_mca):
        expected[f"{register.name}_OFFSET"] = register.offset
        if register.width == 64:
            expected[f"{register.name}_HIGH_OFFSET"] = register.offset + 4
            continue
        for field in register.fields:
            name = register.port(field).upper()
            expected[f"{name}_SHIFT"] = field.low
            expected[f"{name}_MASK"] = field.mask
            if register.access is Access.CONSTANT:
                expected[f"{name}_VALUE"] = field.reset
            if register.access is Access.RW:
                expected[f"{name}_RESET"] = field.reset
            for value, text in enumerate(field.values):
                expected[f"{name}_{text.upper()}"] = value
    assert values == {f"MIXBAR_{name}": value for name, value in expected.items()}
