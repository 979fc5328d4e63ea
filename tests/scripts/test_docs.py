"""README and docs/ do what they say: their code runs, their commands, links and numbers are right.

A fenced block may carry words behind its language: ``run`` executes it, ``fails`` expects a refusal
with status 2, ``file=NAME`` writes it where the later blocks of the page run.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from model import cycles
from model.configurations import CONFIGURATIONS, mca_mlp
from scripts import configuration_page
from scripts.mixbar import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), ROOT / "model/data/mnist-sample/README.md"]
)
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block with a language."""

    language: str
    words: list[str]
    text: str

    @property
    def file(self):
        return next((word[5:] for word in self.words if word.startswith("file=")), None)


def blocks(page):
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [Block(language, words.split(), text) for language, words, text in found]


def name(page):
    return page.relative_to(ROOT).as_posix()


RUN = [page for page in PAGES if any("run" in block.words for block in blocks(page))]


def test_readme_and_guide_are_run():
    assert {"README.md", "docs/user_guide.md"} <= {name(page) for page in RUN}


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=name)
def test_code_runs(page, tmp_path):
    place = tmp_path / "a place"
    place.mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "mixbar"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m scripts.mixbar "$@"\n')
    command.chmod(0o755)
    for block in blocks(page):
        if block.file:
            (place / block.file).write_text(block.text)
        if "run" not in block.words:
            continue
        if block.language == "python":
            line = [sys.executable, "-c", block.text]
        else:
            line = ["bash", "-euc", f"PATH={shlex.quote(str(programs))}:$PATH\n{block.text}"]
        done = subprocess.run(
            line,
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        expected = 2 if "fails" in block.words else 0
        assert done.returncode == expected, f"{block.text}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_own_array():
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "examples" / "own_array.py"), "50"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = ast.literal_eval(done.stdout)
    assert found["images"] == 50
    assert found["pulses"] > 0


def commands():
    """Every line of a shell block that calls mixbar, and every one in a table or sentence."""
    found = {}
    for page in PAGES:
        for block in blocks(page):
            if block.language == "sh":
                for line in block.text.splitlines():
                    words = shlex.split(line, comments=True)
                    if words and words[0] == "mixbar":
                        found[name(page), line] = words[1:]
        for line in re.findall(r"`mixbar ([^`]*)`", page.read_text(encoding="utf-8")):
            found[name(page), line] = shlex.split(line.replace("CONFIG", "mca_mlp"))
    return found


@pytest.mark.parametrize(("where", "words"), commands().items(), ids=str)
def test_commands_exist(where, words):
    verbs = typer.main.get_command(app).commands
    if not words or words[0] in ("VERB", "--help"):
        return
    assert words[0] in verbs, where
    if ">" in words:
        words = words[: words.index(">")]
    verb = verbs[words[0]]
    # Parses verb and options and checks every value's type, without doing anything.
    if len(words) > 1:
        verb.make_context(words[0], words[1:])
        named = words[1]
        assert named in CONFIGURATIONS or named.endswith(".toml") or words[0] == "data", where


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name(page)}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]
            assert anchor in slugs, f"{name(page)}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_named_exist(page):
    """Sources and tests that a page names are there."""
    text = page.read_text(encoding="utf-8")
    places = r"(?:model|hw|energy|cocotb_tests|scripts|tests|docs)/"
    for path in re.findall(rf"`({places}[\w/.-]+\.(?:py|csv|md|toml|j2))`", text):
        assert (ROOT / path).exists(), f"{name(page)}: {path}"


def test_every_block_has_a_page():
    """A component of the digital unit is named on a page of docs/reference/ or in the index."""
    pages = {path.stem for path in (ROOT / "docs" / "reference").glob("*.md")}
    parts = {"register_file", "input_buffer", "result_buffer"}  # on the host interface's page
    inner = {"axi", "layouts", "priority", "ram", "rounding", "verilog", "errors", "__init__"}
    tools = {"synthesis", "liberty", "timing", "tools"}
    tools |= {"gate_tables", "generic_cells", "liberty_power", "netlist", "power", "saif"}
    components = {path.stem for path in (ROOT / "hw").glob("*.py")} - inner - tools - parts
    assert components - pages == set()
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in pages:
        assert f"reference/{page}.md" in index, page


def test_configuration_page_is_current(tmp_path, monkeypatch):
    text = (ROOT / "docs" / configuration_page.PAGE).read_text(encoding="utf-8")
    assert text == configuration_page.page(), "run python -m scripts.configuration_page"
    monkeypatch.setattr(sys, "argv", ["configuration_page", "--out", str(tmp_path)])
    configuration_page.main()
    assert (tmp_path / configuration_page.PAGE).read_text(encoding="utf-8") == text


def test_configuration_page_explains_every_setting():
    for line in configuration_page.page().splitlines():
        assert not re.fullmatch(r"\|.*\|\s*\|", line), line


def test_cycle_budget():
    """The numbers of the cycle budget follow from the cycle model."""
    text = (ROOT / "docs" / "cycle_budget.md").read_text(encoding="utf-8")
    t = cycles.timing(mca_mlp)
    products = [cycles.forward_cycles(t, layer) for layer in (0, 1)]
    forward, error = 1 + sum(products), cycles.error_cycles(t, 1)
    backward = cycles.backward_cycles(t, 1)
    scaled = cycles.scaled_end(t, 0, backward, 0)
    rows = [
        f"| forward | 610 | {2 * t.mvm} | {forward} | {forward} |",
        f"| output error | in backward | 0 | {error} | {error} |",
        f"| backward | 220 | {t.mvm} | {scaled} | 0 |",
        f"| **total** | **2,020** | **{3 * t.mvm}** | **{forward + error + scaled + 1} and more** "
        f"| **{forward + error + 1} and more** |",
        f"| {products[0]}, {products[1]} |",
        f"| backward product of layer l | M + 2 + W(l-1) | {backward} |",
        f"| {scaled - backward} |",
        f"| {cycles.refresh_row_cycles(t, 0, 0, 0)}, no pair saturated |",
        f"FORWARD + 1 = {forward + 1}.",
        f"| {t.set_pulse} |",
    ]
    for row in rows:
        assert row in text, row
    for constant in re.findall(r"`([A-Z_]+_(?:LATENCY|CYCLES))`", text):
        assert hasattr(cycles, constant), constant


def test_screenshot_is_small():
    pictures = list((ROOT / "docs" / "images").glob("*"))
    assert pictures
    assert all(picture.stat().st_size < 300_000 for picture in pictures)
