"""Runs all proofs, prints what is proved; ``make prove``.

    .venv/bin/python -m formal.prove [NAME ...] [--jobs 2] [--write]

A proof counts when all its tasks ended well: the assertions hold, what they speak of is reached,
and a fault is found. The table goes to standard output and to ``build/formal/proofs.md``, times to
``build/formal/proofs.json``; ``--write`` renews it in docs/proofs.md. Exit status: 0 if everything
that was asked for is proved, 1 if not, 2 for an unknown name.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from formal import (
    chi_memory,
    chi_protection,
    code_buffer,
    input_buffer,
    outer_product,
    pulse_scheduler,
    quantiser,
    ram,
    register_file,
    result_buffer,
    threshold,
    vector_maximum,
    watchdog,
)
from formal.proof import Proof, ProofError, Task

__all__ = ["MODULES", "PROOFS", "main", "replace_table", "table"]

MODULES = (
    input_buffer,
    code_buffer,
    quantiser,
    vector_maximum,
    outer_product,
    chi_memory,
    chi_protection,
    threshold,
    pulse_scheduler,
    result_buffer,
    register_file,
    ram,
    watchdog,
)
PROOFS: tuple[Proof, ...] = tuple(proof for module in MODULES for proof in module.PROOFS)
"""All, in the order of the table."""

PAGE = Path(__file__).parents[1] / "docs" / "proofs.md"
BEGIN = "<!-- proofs: made by python -m formal.prove --write -->"
END = "<!-- end of proofs -->"


def table(proofs: Iterable[Proof]) -> str:
    """What is proved, as Markdown."""
    lines = ["| block | proof | property | at | result | fault that it finds |"]
    lines += ["|---|---|---|---|---|---|"]
    lines += [
        f"| `{proof.block}` | `{proof.name}` | {proof.says.replace('|', '&#124;')} | "
        f"{proof.sizes} | {proof.result} | {proof.fault.what} |"
        for proof in proofs
    ]
    return "".join(f"{line}\n" for line in lines)


def replace_table(page: str, lines: str) -> str:
    """The page with other lines between its marks."""
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}\n{lines}{END}{rest.split(END)[1]}"


def prove(proofs: Iterable[Proof], folder: Path, jobs: int) -> dict[str, dict[str, float | str]]:
    """Runs all tasks; for each proof and task the seconds, or what went wrong, as it is printed."""
    results: dict[str, dict[str, float | str]] = {proof.name: {} for proof in proofs}
    # Not forked: a thread of NumPy's would be lost in the copy.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        running = {
            pool.submit(_run, proof.name, task, folder): (proof.name, task)
            for proof in proofs
            for task in proof.tasks
        }
        for count, future in enumerate(as_completed(running), 1):
            name, task = running[future]
            result = results[name][task.value] = future.result()
            text = f"{result:.1f} s" if isinstance(result, float) else f"FAILED: {result}"
            print(f"[{count}/{len(running)}] {name} {task.value}: {text}", file=sys.stderr)
    return results


def _run(name: str, task: Task, folder: Path) -> float | str:
    # By name: a proof holds functions that cannot be sent to another process.
    proof = next(proof for proof in PROOFS if proof.name == name)
    try:
        return proof.run(task, folder)
    except ProofError as error:
        return str(error)


def main() -> int:
    """Entry point of the module."""
    parser = argparse.ArgumentParser(prog="formal.prove", description="Runs the proofs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="proofs; all unless told")
    parser.add_argument("--jobs", type=int, default=2, help="tasks side by side (2)")
    parser.add_argument("--out", type=Path, default=Path("build/formal"), help="folder for files")
    parser.add_argument("--write", action="store_true", help="renew the table of docs/proofs.md")
    options = parser.parse_args()
    unknown = set(options.names) - {proof.name for proof in PROOFS}
    if unknown:
        parser.error(f"there is no proof named {min(unknown)!r}.")
    if options.write and options.names:
        parser.error("--write needs all proofs.")
    proofs = [proof for proof in PROOFS if not options.names or proof.name in options.names]

    start = time.monotonic()
    results = prove(proofs, options.out, options.jobs)
    done = [
        proof
        for proof in proofs
        if all(isinstance(result, float) for result in results[proof.name].values())
    ]
    (options.out / "proofs.json").write_text(json.dumps(results, indent=2) + "\n")
    (options.out / "proofs.md").write_text(table(done))
    print(table(done), end="")
    took = f"{time.monotonic() - start:.0f} s"
    if len(done) < len(proofs):
        failed = ", ".join(proof.name for proof in proofs if proof not in done)
        print(f"Not proved, after {took}: {failed}.", file=sys.stderr)
        return 1
    if options.write:
        PAGE.write_text(replace_table(PAGE.read_text(), table(done)))
    print(f"All {len(done)} proved in {took}.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
