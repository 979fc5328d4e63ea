"""Makes the figures and numbers of README and docs/ again, behind ``make reproduce``.

    .venv/bin/python -m scripts.reproduce            # the quick form: minutes
    .venv/bin/python -m scripts.reproduce --full     # everything: hours of one core

What is run and what it must give is docs/reproduction.toml (:mod:`scripts.reproduction`). Every run
has a folder of its own under ``build/reproduce/``, where its commands find nothing of the user's
but the data sets. A finished command is not repeated as long as commands and sources are the same;
one that was stopped goes on where it can. Ends with status 1 if a number has moved or a command has
failed. ``--write`` writes the table of docs/reproduction.md instead.
"""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts import cli
from scripts.reproduction import (
    MANIFEST,
    OUTPUT,
    ROOT,
    Finding,
    Manifest,
    Remark,
    Run,
    Verdict,
    compare,
    load,
    stands,
)

__all__ = ["app", "page_table", "reproduce"]

OUT = ROOT / "build" / "reproduce"
PAGE = ROOT / "docs" / "reproduction.md"
BEGIN = "<!-- runs: made by python -m scripts.reproduce --write -->"
END = "<!-- end of runs -->"

#: What decides the outcome of a command. This module and the manifest only compare it.
SOURCES = ("model", "hw", "energy", "cocotb_tests", "formal", "scripts", "docs/examples")
JUDGES = ("reproduce.py", "reproduction.py")

#: In a run's folder: the digest that the finished commands were run with, and their seconds.
RECORD = "finished.json"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def reproduce(
    full: Annotated[bool, typer.Option("--full", help="Everything, not the quick form.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="This run; again for more.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Repeat finished commands.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Runs at a time.")] = 2,
    show: Annotated[bool, typer.Option("--list", help="Only say what would be run.")] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Only write the table of docs/reproduction.md.")
    ] = False,
    out: cli.OutOption = OUT,
    manifest: Annotated[Path, typer.Option("--manifest", hidden=True)] = MANIFEST,
) -> None:
    """Make figures and numbers of README and docs/ again, and fail if one has moved."""
    known = load(manifest)
    if write:
        text = PAGE.read_text(encoding="utf-8")
        cli.write(PAGE, cli.between_marks(text, BEGIN, END, page_table(known)))
        cli.say(f"wrote {PAGE}")
        return
    names = {run.name for run in known.runs}
    if unknown := set(only or ()) - names:
        raise cli.RequestError(f"Unknown run {unknown.pop()!r}; known: {', '.join(sorted(names))}.")
    chosen = [r for r in known.runs if (r.name in only if only else r.quick or full)]
    digest = _digest_of_sources()
    if again and not show:
        for run in chosen:
            shutil.rmtree(out / run.name, ignore_errors=True)
    print(_plan(chosen, out, digest), flush=True)
    if show:
        return
    rows: dict[str, dict[str, Any]] = {}
    with cli.locked(out), ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(_judge, run, out / run.name, digest): run for run in chosen}
        try:
            for future in as_completed(futures):
                run, (findings, seconds, failure) = futures[future], future.result()
                rows[run.name] = _record(run, findings, seconds, failure)
                print(_outcome(run, findings, failure), flush=True)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    ordered = [rows[run.name] for run in chosen]
    cli.write(out / "report.json", cli.json_text({"full": full, "runs": ordered}))
    cli.write(out / "report.md", _report(ordered, known))
    _conclude(ordered, out)


def _conclude(rows: Sequence[dict[str, Any]], out: Path) -> None:
    """Says the outcome of all.

    Raises
    ------
    FailureError
        If a claim has moved or a command has failed.
    """
    counts = {
        verdict: sum(claim["verdict"] == verdict.value for row in rows for claim in row["claims"])
        for verdict in Verdict
    }
    print(", ".join(f"{count} {verdict.value}" for verdict, count in counts.items()))
    print(f"wrote {out / 'report.md'}")
    failed = [row["run"] for row in rows if row["failure"]]
    if failed or counts[Verdict.MOVED]:
        reasons = [f"{counts[Verdict.MOVED]} claims have moved"] if counts[Verdict.MOVED] else []
        reasons += [f"these runs failed: {', '.join(failed)}"] if failed else []
        raise cli.FailureError(f"Not reproduced: {'; '.join(reasons)}.")


# Running


def _digest_of_sources() -> str:
    """A digest of every file that decides what a command gives."""
    digest = hashlib.sha256()
    files = [ROOT / "requirements.lock"]
    for folder in SOURCES:
        files += (
            path
            for path in sorted((ROOT / folder).rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts and path.name not in JUDGES
        )
    for path in files:
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _missing(need: str) -> str | None:
    """Why what a run needs cannot be had, in a sentence; None if it is there."""
    if need == "mnist":
        from model import datasets

        try:
            datasets.load("mnist")
        except datasets.DatasetError as error:
            return str(error)
        return None
    from hw import liberty, timing

    if liberty.DEFAULT.is_file() and timing.available():
        return None
    return "The library osu018 or OpenSTA is missing: apt install qflow-tech-osu018 opensta."


def _judge(run: Run, folder: Path, digest: str) -> tuple[list[Finding], float, str | None]:
    """Runs what is not there yet; what came out, seconds of processor time, why it failed."""
    for need in run.needs:
        if reason := _missing(need):
            return [Finding(claim, Verdict.NOT_RUN, note=reason) for claim in run.claims], 0, None
    seconds, failure = _execute(run, folder, digest)
    if failure:
        note = "a command of the run failed"
        return [Finding(claim, Verdict.MOVED, note=note) for claim in run.claims], seconds, failure
    findings = [
        compare(claim, folder, ROOT)
        if stands(claim, ROOT)
        else Finding(claim, Verdict.MOVED, note="the page does not say this")
        for claim in run.claims
    ]
    return findings, seconds, None


def _execute(run: Run, folder: Path, digest: str) -> tuple[float, str | None]:
    """Runs the commands that have not finished; seconds of all of them, and why one failed."""
    finished = _finished(run, folder, digest)
    if finished is None:
        shutil.rmtree(folder, ignore_errors=True)
        finished = []
    _keep(run, folder, digest, finished)
    for number, command in enumerate(run.commands[len(finished) :], len(finished) + 1):
        cli.say(f"{run.name}: {command}")
        printed, errors = folder / f"stdout{number}.txt", folder / f"stderr{number}.txt"
        with printed.open("wb") as output, errors.open("wb") as messages:
            process = subprocess.Popen(
                _arguments(command),
                cwd=folder,
                # This checkout, whatever is installed.
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=messages,
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finished.append(round(usage.ru_utime + usage.ru_stime, 1))
        if status != 0:
            said = errors.read_text(encoding="utf-8", errors="replace").splitlines()
            why = f"{command} ended with status {process.returncode}: {' '.join(said[-1:])}"
            return sum(finished), f"{why} ({errors})"
        _keep(run, folder, digest, finished)
    texts = [(folder / f"stdout{n}.txt").read_bytes() for n in range(1, len(run.commands) + 1)]
    cli.write(folder / OUTPUT, b"".join(texts))
    return sum(finished), None


def _key(run: Run, digest: str) -> dict[str, Any]:
    return {"sources": digest, "commands": list(run.commands)}


def _keep(run: Run, folder: Path, digest: str, finished: Sequence[float]) -> None:
    record = _key(run, digest) | {"seconds": list(finished)}
    cli.write(folder / RECORD, cli.json_text(record))


def _finished(run: Run, folder: Path, digest: str) -> list[float] | None:
    """Seconds of the commands that have finished; None if the folder is not of these sources."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    seconds: list[float] = record.pop("seconds")
    return seconds if record == _key(run, digest) else None


def _arguments(command: str) -> list[str]:
    words = [str(ROOT / w) if w.startswith("docs/") else w for w in shlex.split(command)]
    module = ["-m", "scripts.mixbar"] if words[0] == "mixbar" else []
    return [sys.executable, *module, *words[1:]]


# What is said


def _duration(seconds: float) -> str:
    """About how long, in the unit in which it is short."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _plan(runs: Sequence[Run], out: Path, digest: str) -> str:
    """What is going to be run, and how long each takes."""
    lines = [f"{'run':<22} {'takes':>7}  commands"]
    left = 0.0
    for run in runs:
        done = len(_finished(run, out / run.name, digest) or ())
        if done < len(run.commands):
            left += run.seconds
        kept = "" if done < len(run.commands) else "  (kept)"
        about = _duration(run.seconds)
        lines.append(f"{run.name:<22} {about:>7}  {'; '.join(run.commands)}{kept}")
    lines.append(f"In all {_duration(left)} of processor time.")
    return "\n".join(lines)


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.7g}" for value in values)


def _outcome(run: Run, findings: Sequence[Finding], failure: str | None) -> str:
    """A run and a line for each of its claims."""
    lines = [run.name, *map(_line, findings)]
    return "\n".join([*lines, f"  FAILED   {failure}"] if failure else lines)


def _line(finding: Finding) -> str:
    """A claim in a line: verdict, stated, found, allowed, where it is said."""
    claim = finding.claim
    allowed = f" (+- {_numbers(claim.spread)})" if any(claim.spread) and claim.stated else ""
    stated = ", ".join(claim.stated) or "the words" * bool(claim.says) or "the whole file"
    found = f", found {_numbers(finding.found)}" if finding.found else ""
    note = f": {finding.note}" if finding.note else ""
    return f"  {finding.verdict.value:<8} {claim.page}: {stated}{allowed}{found}{note}"


def _record(
    run: Run, findings: Sequence[Finding], seconds: float, failure: str | None
) -> dict[str, Any]:
    """A run and its claims for report.json."""
    claims = [
        {
            "page": finding.claim.page,
            "says": finding.claim.words,
            "stated": finding.claim.stated,
            "found": list(finding.found),
            # JSON has no infinity: null is a number that is not judged.
            "spread": [s if s != float("inf") else None for s in finding.claim.spread],
            "verdict": finding.verdict.value,
            "note": finding.note,
        }
        for finding in findings
    ]
    return {
        "run": run.name,
        "commands": run.commands,
        "seconds": seconds,
        "seconds_stated": run.seconds,
        "failure": failure,
        "claims": claims,
    }


def _report(rows: Sequence[dict[str, Any]], manifest: Manifest) -> str:
    """Everything that was held against its run, as Markdown."""
    lines = ["# What was made again", ""]
    for row in rows:
        took = f"{row['seconds']:.0f} s of processor time, stated {row['seconds_stated']:g} s"
        lines += [f"## {row['run']}", "", *(f"    {command}" for command in row["commands"]), ""]
        lines += [f"**Failed**: {row['failure']}." if row["failure"] else f"{took}.", ""]
        lines += ["| page | says | found | allowed | verdict |", "|---|---|---|---|---|"]
        for claim in row["claims"]:
            spreads = ["not judged" if s is None else f"{s:g}" for s in claim["spread"]]
            cells = [
                claim["page"],
                claim["says"].replace("|", "\\|") or "the whole file",
                claim["note"] if not claim["found"] else _numbers(claim["found"]),
                ", ".join(spreads),
                claim["verdict"],
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join([*lines, *_remarks("## Not made by a command", manifest.without)])


def _remarks(title: str, remarks: Iterable[Remark]) -> list[str]:
    rows = [f"| {remark.page} | {remark.what} | {remark.why} |" for remark in remarks]
    return [title, "", "| page | numbers | why |", "|---|---|---|", *rows, ""]


# The page in docs/


def page_table(manifest: Manifest) -> str:
    """The tables of docs/reproduction.md."""
    lines = ["| run | commands | takes | form | claims on |", "|---|---|---|---|---|"]
    for run in manifest.runs:
        pages = [claim.page.removeprefix("docs/") for claim in run.claims]
        counts = ", ".join(f"{page} {pages.count(page)}" for page in dict.fromkeys(pages))
        takes = _duration(run.seconds) + (", reckoned" if run.estimated else "")
        needs = f", with {' and '.join(run.needs)}" if run.needs else ""
        commands = "; ".join(f"`{command}`" for command in run.commands)
        form = "quick" if run.quick else "full"
        lines.append(f"| {run.name} | {commands} | {takes} | {form}{needs} | {counts} |")
    quick, full = (
        sum(run.seconds for run in manifest.runs if form or run.quick) for form in (False, True)
    )
    lines += ["", f"Quick form: {_duration(quick)} of processor time; full: {_duration(full)}.", ""]
    lines += _remarks("## Held by tests", manifest.tested)
    lines += _remarks("## Not made by a command", manifest.without)
    return "\n".join(lines).rstrip()


if __name__ == "__main__":
    sys.exit(cli.run(app, sys.argv[1:]))
