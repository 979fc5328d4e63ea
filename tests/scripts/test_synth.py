"""``mixbar synth``."""

import json

import pytest

from hw import liberty, synthesis, timing, verilog
from hw.synthesis import Block, Synthesis, ToolWarning
from hw.timing import Macro, TimingPath
from scripts import cli
from scripts.mixbar import app
from tests.hw import toy_liberty

FOUND = Synthesis(
    library="toy",
    blocks=(
        Block(
            name="quantiser",
            cells=1200,
            area_um2=4321.5,
            flip_flops=30,
            flip_flops_free=10,
            path=TimingPath(start="a", end="b", ns=1.5),
        ),
        Block(
            name="digital_unit",
            cells=34,
            area_um2=1.25,
            flip_flops=0,
            flip_flops_free=0,
            path=None,
        ),
    ),
    memories=(
        Macro(name="ram", depth=8, width=4, count=2, inputs={"clk": 1}, outputs={"r0_data": 4}),
    ),
    paths=(TimingPath(start="c", end="quantiser/b", ns=1.75),),
    timing="OpenSTA",
    warnings=(ToolWarning(text="Fuss", count=3, reason="It is nothing."),),
)


def mixbar(*arguments):
    return cli.run(app, list(map(str, arguments)))


@pytest.fixture
def asked(monkeypatch):
    """What synthesis was asked for, in place of doing it."""
    requests = []

    def fake(path, *, progress, **options):
        assert path.is_file()
        progress(0, 1, "quantiser")
        progress(1, 1, "timing")
        requests.append(options)
        return FOUND

    def emit(config, out):
        path = out / config.name / "unit.v"
        path.parent.mkdir()
        path.write_text("module unit; endmodule")
        return verilog.EmittedVerilog(top="unit", path=path, bytes=1, ports=())

    monkeypatch.setattr(verilog, "emit", emit)
    monkeypatch.setattr(synthesis, "synthesise", fake)
    return requests


@pytest.fixture
def toy(tmp_path):
    path = tmp_path / "toy.lib"
    path.write_text(toy_liberty.liberty())
    return path


def test_json_and_file(asked, toy, tmp_path, capsys):
    out = tmp_path / "out"
    assert mixbar("synth", "tiny_mca", "--liberty", toy, "--out", out, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    written = json.loads((out / "tiny_mca" / "synth.json").read_text())
    assert {key: shown[key] for key in written} == written
    assert written["config"] == "tiny_mca"
    assert written["library"] == "toy"
    assert written["cells"] == 1234
    assert written["area_um2"] == 4322.75
    assert written["critical_path_ns"] == 1.75
    assert written["flip_flops"] == 30
    assert written["flip_flops_free"] == 10
    assert written["memory_bits"] == 64
    assert [block["block"] for block in written["blocks"]] == ["quantiser", "digital_unit"]
    assert written["blocks"][0]["critical_path_ns"] == 1.5
    assert written["blocks"][1]["critical_path_ns"] is None
    assert written["memories"] == [{"name": "ram", "depth": 8, "width": 4, "count": 2, "bits": 64}]
    assert written["warnings"] == [{"text": "Fuss", "count": 3, "reason": "It is nothing."}]
    (request,) = asked
    assert request["top"] == "unit"
    assert request["library"].name == "toy"
    assert request["period_ns"] == pytest.approx(1.0)
    assert request["folder"] == out / "tiny_mca" / "synth" / "toy"


def test_table(asked, toy, tmp_path, capsys):
    arguments = ["--liberty", toy, "--period", "2.5", "--dont-use", "NOR*", "--out", tmp_path]
    assert mixbar("synth", "tiny_mca", *arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny_mca, toy, for 2.5 ns"
    table = [line.split() for line in lines[2:5]]
    assert table == [
        ["quantiser", "1,200", "4,322", "30", "1.500"],
        ["digital_unit", "34", "1.2", "0", "-"],
        ["all", "1,234", "4,323", "30", "1.750"],
    ]
    assert "memory 8 x 4 bits: 2" in lines
    assert "longest path: c to quantiser/b (OpenSTA)" in lines
    assert "3 x Fuss: It is nothing." in lines
    assert asked[0]["period_ns"] == 2.5
    assert asked[0]["library"].dont_use == ("NOR*", "LATCH")


def test_no_library_is_said(asked, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(liberty, "DEFAULT", tmp_path / "missing.lib")
    assert mixbar("synth", "tiny_mca", "--out", tmp_path) == 0
    err = capsys.readouterr().err
    assert "qflow-tech-osu018 (apt install)" in err
    assert asked[0]["library"] is None


def test_default_library(asked, toy, tmp_path, monkeypatch):
    monkeypatch.setattr(liberty, "DEFAULT", toy)
    assert mixbar("synth", "tiny_mca", "--out", tmp_path) == 0
    assert asked[0]["library"].name == "toy"


def test_no_opensta_is_said(asked, toy, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(timing, "available", lambda: False)
    assert mixbar("synth", "tiny_mca", "--liberty", toy, "--out", tmp_path) == 0
    assert "OpenSTA is not installed (Debian: apt install opensta)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no_such"], "Unknown configuration 'no_such'"),
        (["tiny_mca", "--period", "0"], "--period must be above 0 ns, not 0."),
        (["tiny_mca", "--period", "nan"], "--period must be above 0 ns, not nan."),
        (["tiny_mca", "--period", "inf"], "--period must be above 0 ns, not inf."),
        (["tiny_mca", "--liberty", "missing.lib"], "Cannot read the library missing.lib"),
        (["tiny_mca", "--liberty", "{file}"], "is no Liberty file with cells"),
    ],
)
def test_wrong_request(arguments, sentence, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    out = tmp_path / "out"
    words = [word.format(file=file) for word in arguments]
    assert mixbar("synth", *words, "--out", out) == 2
    shown, err = capsys.readouterr()
    assert shown == ""
    assert sentence in err
    assert err.count("\n") == 1
    assert not out.exists()


def test_dont_use_needs_a_library(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(liberty, "DEFAULT", tmp_path / "missing.lib")
    assert mixbar("synth", "tiny_mca", "--dont-use", "X*", "--out", tmp_path) == 2
    assert "--dont-use needs a library" in capsys.readouterr().err


@pytest.mark.slow
def test_whole_unit(tmp_path, capsys, monkeypatch):
    # All of a real unit goes through Yosys: no latch, no loop, no warning; every block has gates.
    monkeypatch.setattr(liberty, "DEFAULT", tmp_path / "missing.lib")
    assert mixbar("synth", "tiny_mca", "--out", tmp_path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["library"] == synthesis.GENERIC
    assert found["area_um2"] is None
    assert found["critical_path_ns"] is None
    assert found["warnings"] == []
    blocks = {block["block"]: block for block in found["blocks"]}
    assert {"chi_memory", "quantiser", "sequencer", "host", "digital_unit"} <= blocks.keys()
    assert all(block["cells"] > 0 for block in blocks.values())
    assert found["flip_flops"] > found["flip_flops_free"] > 0
    assert any(memory["width"] % 32 == 0 for memory in found["memories"])
