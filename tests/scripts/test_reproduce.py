"""make reproduce: the manifest, what stands in the pages, verdicts, what is run again.

The runs here are made of small Python modules, with pages and a manifest of their own.
"""

import dataclasses
import json
import textwrap

import pytest

from scripts import cli, reproduce, reproduction
from scripts.reproduction import Claim, Verdict, compare, load, stands

MANIFEST = load()
CLAIMS = [claim for run in MANIFEST.runs for claim in run.claims]


def claim(says, **settings):
    return Claim(page="page.md", says=says, **settings)


def verdict(folder, says, printed, **settings):
    (folder / "stdout.txt").write_text(printed)
    return compare(claim(says, **settings), folder, folder).verdict


# The project's own manifest


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: f"{c.page}: {c.words[:60]}")
def test_page_says_it(claim):
    assert stands(claim)


@pytest.mark.parametrize("remark", MANIFEST.tested + MANIFEST.without, ids=lambda r: r.what)
def test_remark_names_a_page(remark):
    assert (reproduction.ROOT / remark.page).is_file()


def test_every_run_claims_something():
    assert all(run.claims for run in MANIFEST.runs)


def test_quick_form_is_quick():
    assert 60 < sum(run.seconds for run in MANIFEST.runs if run.quick) < 600


def test_table_in_docs_is_current():
    text = reproduce.PAGE.read_text(encoding="utf-8")
    made = reproduce.page_table(MANIFEST)
    new = cli.between_marks(text, reproduce.BEGIN, reproduce.END, made)
    assert text == new, "run python -m scripts.reproduce --write"


def test_figures_are_claimed():
    """Every figure that a script draws for docs/ is made again, or it is said why not."""
    claimed = {claim.page for claim in CLAIMS} | {remark.page for remark in MANIFEST.without}
    drawn = {path.relative_to(reproduction.ROOT) for path in reproduction.ROOT.glob("docs/*.svg")}
    assert {path.as_posix() for path in drawn} <= claimed


# What a manifest may say


def manifest(tmp_path, text):
    path = tmp_path / "manifest.toml"
    path.write_text(textwrap.dedent(text))
    return path


RUN = """
[[run]]
name = "a"
commands = ["python -m job"]
seconds = 1
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run = 3", "is no manifest"),
        ("[[run]\n", "is no manifest"),
        (RUN + RUN, "two runs are called a"),
        (RUN + "[[test]]\n", "unknown table test"),
        (RUN.replace("python -m job", "rm x"), "must have commands that begin with"),
        (RUN.replace('["python -m job"]', "[]"), "must have commands that begin with"),
        (RUN.replace('"a"', '"../a"'), "is no name of a folder"),
        (RUN.replace("= 1", "= 0"), "must say how many seconds"),
        (RUN + 'needs = ["luck"]', "needs 'luck'"),
        (RUN + "speed = 3", "speed"),
        (RUN + '[[run.claim]]\nsays = "x"', "page"),
        (RUN + '[[run.claim]]\npage = "p"\nsays = "{x}"', "'x' of 'x' is no number"),
        (RUN + '[[run.claim]]\npage = "p"\nsays = "{1}"\nfound = ["/a", "/b"]', "has 1 numbers"),
        (RUN + '[[run.claim]]\npage = "p"\nsays = "{1}"\nprints = "x"', "another count"),
        (RUN + '[[run.claim]]\npage = "p"\nsays = "{1}"\nspread = [1, 2]', "one spread"),
        (RUN + '[[run.claim]]\npage = "p"\nsays = "{1}"\nspread = -1', "none below 0"),
    ],
)
def test_no_manifest(tmp_path, text, message):
    with pytest.raises(cli.FailureError, match=message):
        load(manifest(tmp_path, text))


def test_several_pointers_in_one(tmp_path):
    text = RUN + '[[run.claim]]\npage = "p"\nsays = "{1} {2} {3}"\nfound = ["2 * /a/b,c", "/d"]'
    (run,) = load(manifest(tmp_path, text)).runs
    assert run.claims[0].found == ("2 * /a/b", "2 * /a/c", "/d")


def test_stands(tmp_path):
    (tmp_path / "page.md").write_text("It took\n  1,234 s, all\ntold.\n")
    assert stands(claim("took {1,234} s, all told"), tmp_path)
    assert not stands(claim("took {1,235} s, all told"), tmp_path)
    assert not stands(Claim(page="other.md", says="took"), tmp_path)


# Verdicts


@pytest.mark.parametrize(
    ("stated", "found", "spread", "expected"),
    [
        ("5", "5", 0.0, Verdict.HOLDS),
        ("5", "6", 0.0, Verdict.MOVED),
        ("1,234,567", "1234567", 0.0, Verdict.HOLDS),
        ("1,234,567", "1,234,568", 0.0, Verdict.MOVED),
        ("97.90", "97.90", 0.0, Verdict.HOLDS),
        ("97.90", "97.91", 0.0, Verdict.MOVED),
        ("97.90", "98.00", 0.1, Verdict.HOLDS),
        ("97.90", "98.01", 0.1, Verdict.MOVED),
        ("97.90", "97.79", 0.1, Verdict.MOVED),
        ("-3", "3", 0.0, Verdict.MOVED),
        ("2e-6", "0.000002", 0.0, Verdict.HOLDS),
        ("7", "900", float("inf"), Verdict.SHOWN),
    ],
)
def test_number(tmp_path, stated, found, spread, expected):
    assert (
        verdict(tmp_path, f"took {{{stated}}} s", f"it took  {found}\ns", spread=(spread,))
        is expected
    )


def test_printed_digits_round(tmp_path):
    """A page that says 346 holds for 346.49, not for 346.51."""
    for found, expected in ((346.49, Verdict.HOLDS), (346.51, Verdict.MOVED)):
        (tmp_path / "a.json").write_text(json.dumps({"cycles": found}))
        at = claim("{346} cycles", file="a.json", found=("/cycles",))
        assert compare(at, tmp_path).verdict is expected


def test_one_of_several_moved(tmp_path):
    assert verdict(tmp_path, "{1} of {2}", "1 of 3") is Verdict.MOVED
    assert verdict(tmp_path, "{1} of {2}", "1 of 3", spread=(0.0, 1.0)) is Verdict.HOLDS
    assert verdict(tmp_path, "{1} of {2}", "2 of 2", spread=(0.0, 1.0)) is Verdict.MOVED
    assert verdict(tmp_path, "{1} of {2}", "1 of 9", spread=(0.0, float("inf"))) is Verdict.HOLDS


def test_words(tmp_path):
    assert verdict(tmp_path, "proved", "proved") is Verdict.HOLDS
    assert verdict(tmp_path, "proved", "failed") is Verdict.MOVED
    assert verdict(tmp_path, "| {1} |", "x: 1", prints="x: {1}") is Verdict.HOLDS
    # Not the end of a longer number, nor its beginning.
    assert verdict(tmp_path, "{2} images", "12 images") is Verdict.MOVED
    assert verdict(tmp_path, "found {2}", "found 2.6") is Verdict.MOVED


def test_words_that_could_be_others(tmp_path):
    assert verdict(tmp_path, "took {1} s", "a took 1 s, b took 2 s") is Verdict.MOVED
    assert verdict(tmp_path, "took {1} s", "a took 1 s, b took 1 s") is Verdict.HOLDS


def test_numbers_in_json(tmp_path):
    rows = [{"kind": "a", "at": 1, "mean": 0.5}, {"kind": "a", "at": 2, "mean": 0.25}]
    (tmp_path / "a.json").write_text(json.dumps({"rows": rows, "flag": True, "a key": 8}))
    at = claim("{25} %, {2.0}", file="a.json")

    def found(*expressions):
        return compare(dataclasses.replace(at, found=expressions), tmp_path)

    assert found("100 * /rows/kind=a&at=2/mean", "/rows/0/mean / /rows/1/mean").found == [25, 2]
    assert found("/'a key'", "-/rows/0/at").found == [8, -1]
    for wrong in ("/rows/7/mean", "/rows/kind=b/mean", "/flag", "/rows", "/none", "7 +"):
        got = found(wrong, "1")
        assert got.verdict is Verdict.MOVED
        assert "has no such number" in got.note


def test_nothing_left(tmp_path):
    assert compare(claim("{1} s"), tmp_path).note == "the run left no stdout.txt"


def test_whole_file(tmp_path):
    (tmp_path / "page.svg").write_text('<a id="p0123456789"/> L 1.50 2.50')
    whole = Claim(page="page.svg", file="made.svg", spread=(0.01,))
    for text, expected in (
        ('<a id="pabcdef0123"/> L 1.51 2.49', Verdict.HOLDS),
        ('<a id="p0123456789"/> L 1.53 2.50', Verdict.MOVED),
        ('<a id="p0123456789"/> M 1.50 2.50', Verdict.MOVED),
        ('<a id="p0123456789"/> L 1.50 2.50 3', Verdict.MOVED),
    ):
        (tmp_path / "made.svg").write_text(text)
        assert compare(whole, tmp_path, tmp_path).verdict is expected, text


# Runs

JOB = """
import pathlib, sys
count = pathlib.Path("count.txt")
count.write_text(str(int(count.read_text()) + 1 if count.exists() else 1))
print("found", {value})
if {status}:
    sys.exit("It broke.")
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A run of one module, its page, and a function that reproduces it."""
    root = tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    (root / "requirements.lock").touch()
    (root / "docs" / "page.md").write_text("It has found 3.")
    monkeypatch.setattr(reproduce, "ROOT", root)
    monkeypatch.setattr(reproduce, "SOURCES", ("source",))
    path = manifest(
        root,
        RUN + 'quick = true\n[[run.claim]]\npage = "docs/page.md"\nsays = "found {3}"\n',
    )

    def write(value=3, status=0):
        (root / "job.py").write_text(JOB.format(value=value, status=status))

    def run(*options):
        out = ["--out", str(tmp_path / "out"), "--manifest", str(path)]
        return cli.run(reproduce.app, [*options, *out])

    write()
    run.write, run.manifest, run.root, run.out = write, path, root, tmp_path / "out"
    run.count = lambda: int((tmp_path / "out" / "a" / "count.txt").read_text())
    return run


def test_holds(project, capsys):
    assert project() == 0
    printed = capsys.readouterr().out
    assert "python -m job" in printed
    assert "holds    docs/page.md: 3, found 3" in printed
    report = json.loads((project.out / "report.json").read_text())
    assert [claim["verdict"] for claim in report["runs"][0]["claims"]] == ["holds"]
    assert "| docs/page.md | found 3 | 3 | 0 | holds |" in (project.out / "report.md").read_text()


def test_moved(project, capsys):
    project.write(value=4)
    assert project() == 1
    printed = capsys.readouterr()
    assert "MOVED    docs/page.md: 3, found 4" in printed.out
    assert "Not reproduced: 1 claims have moved." in printed.err
    assert (project.out / "report.md").is_file()


def test_page_says_something_else(project, capsys):
    (project.root / "docs" / "page.md").write_text("It has found 4.")
    assert project() == 1
    assert "MOVED    docs/page.md: 3: the page does not say this" in capsys.readouterr().out


def test_failed(project, capsys):
    project.write(status=1)
    assert project() == 1
    printed = capsys.readouterr()
    assert "python -m job ended with status 1: It broke. (" in printed.out
    assert "these runs failed: a" in printed.err
    # Nothing is kept of a command that failed.
    project.write()
    assert project() == 0


def test_finished_is_kept(project):
    assert project() == project() == 0
    assert project.count() == 1
    assert project("--again") == 0
    assert project.count() == 1  # in a new folder
    (project.root / "source").mkdir()
    (project.root / "source" / "a.py").write_text("changed")
    project.write(value=4)
    assert project() == 1


def test_goes_on_after_the_finished_commands(project):
    text = project.manifest.read_text()
    project.manifest.write_text(text.replace('job"]', 'job", "python -m second"]'))
    second = project.root / "second.py"
    second.write_text("import sys; print('half'); sys.exit(1)")
    assert project() == 1
    second.write_text("print('done')")
    assert project() == 0
    assert project.count() == 1
    assert (project.out / "a" / "stdout.txt").read_text() == "found 3\ndone\n"


def test_data_missing(project, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(project.root / "empty"))
    project.manifest.write_text(
        project.manifest.read_text().replace("seconds", 'needs = ["mnist"]\nseconds')
    )
    assert project() == 0
    printed = capsys.readouterr().out
    assert "not run  docs/page.md: 3: The data set mnist is not in " in printed
    assert "0 holds, 0 MOVED, 0 shown, 1 not run" in printed
    assert not (project.out / "a").exists()


def test_only_and_full(project, capsys):
    more = RUN.replace('"a"', '"b"') + '[[run.claim]]\npage = "docs/page.md"\nsays = "found {3}"\n'
    project.manifest.write_text(project.manifest.read_text() + more)
    assert project("--list", "--full") == 0
    printed = capsys.readouterr().out
    assert "a  " in printed
    assert "b  " in printed
    assert not project.out.exists()
    assert project("--only", "b") == 0
    assert sorted(path.name for path in project.out.iterdir() if path.is_dir()) == ["b"]
    assert project("--only", "c") == 2
    assert "Unknown run 'c'; known: a, b." in capsys.readouterr().err


def test_page_needs_marks():
    with pytest.raises(cli.FailureError, match="must hold the marks"):
        cli.between_marks("no marks", "<a>", "<b>", "")
