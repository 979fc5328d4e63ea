"""Libraries: units, areas, registers and the buffer, and sentences for what is none."""

import gzip

import pytest

from hw.errors import LibertyError
from hw.liberty import load
from tests.hw import toy_liberty


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "toy.lib"
    path.write_text(toy_liberty.liberty())
    return path


def test_cells(file):
    library = load([file])
    assert library.name == "toy"
    assert {name: cell.area_um2 for name, cell in library.cells.items()} == toy_liberty.AREAS
    assert [name for name, cell in library.cells.items() if cell.is_flip_flop] == ["DFF"]
    assert [name for name, cell in library.cells.items() if cell.is_latch] == ["LATCH"]


def test_units_and_buffer(file):
    library = load([file])
    assert (library.time_ns, library.load_ff) == (1.0, 1000.0)
    assert library.buffer == "BUF"
    assert library.output_load == pytest.approx(0.04)


def test_marked_cells_are_not_used(file):
    assert load([file], dont_use=["NOR*"]).dont_use == ("NOR*", "LATCH")


def test_several_files_one_compressed(tmp_path):
    gates, registers = tmp_path / "gates.lib", tmp_path / "registers.lib.gz"
    gates.write_text(toy_liberty.liberty(name="toy_tt_gates", registers=False))
    registers.write_bytes(
        gzip.compress(toy_liberty.liberty(name="toy_tt_registers", gates=False).encode())
    )
    library = load([gates, registers])
    assert library.name == "toy_tt"
    assert library.cells.keys() == toy_liberty.AREAS.keys()
    assert library.register_files == (1,)


def test_digest_follows_all_that_matters(file):
    digests = {load([file]).digest, load([file], dont_use=["NOR2"]).digest}
    file.write_text(toy_liberty.liberty().replace("area : 20.0", "area : 21.0"))
    assert len(digests | {load([file]).digest}) == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("module m; endmodule", "is no Liberty file with cells"),
        ("library (empty) { }", "is no Liberty file with cells"),
        (toy_liberty.liberty(registers=False), "has no flip-flop that may be used"),
        (toy_liberty.liberty(gates=False), "has no buffer that may be used"),
        (toy_liberty.liberty().replace("time_unit", "no_unit"), "does not state its units"),
        (toy_liberty.liberty().replace("1ns", "1 fortnight"), "does not state its units"),
    ],
)
def test_wrong_file(text, sentence, tmp_path):
    path = tmp_path / "wrong.lib"
    path.write_text(text)
    with pytest.raises(LibertyError, match=sentence):
        load([path])


def test_missing_and_damaged_file(tmp_path):
    with pytest.raises(LibertyError, match="Cannot read the library .*: No such file"):
        load([tmp_path / "missing.lib"])
    damaged = tmp_path / "damaged.lib.gz"
    damaged.write_bytes(gzip.compress(b"library (x) {}" * 100)[:-20])
    with pytest.raises(LibertyError, match="Cannot read the library .*damaged.lib.gz"):
        load([damaged])


def test_no_file():
    with pytest.raises(LibertyError, match="at least one Liberty file"):
        load([])
