"""Hostile input: files that a user was given, broken at random, read as the verbs read them, and
command lines of random words (tests/fuzz_commands.py), traffic on a unit's buses
(tests/hw/hostile_host.py).

    .venv/bin/python -m tests.fuzz --minutes 10 [--only config] [--seed 1]

Each target makes one hostile input from a random generator and hands it to the reader. The reader
may accept it or refuse it by the error of its kind, in one sentence; anything else is a defect, and
the seed that is printed replays it. ``make test`` runs a few hundred of each target
(tests/test_hostile_input.py), ``make fuzz`` as many as the minutes allow.
"""

import argparse
import copy
import functools
import io
import json
import math
import random
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tomli_w

from model import datasets
from model.checkpoint import CheckpointError
from model.configurations import CONFIGURATIONS, load, parse, tiny_mca
from model.datasets import DatasetError
from model.device_table import COLUMNS, read_device_table
from model.inference import load_run
from model.settings import ConfigError, to_toml
from model.training import Training
from tests import fuzz_commands
from tests.hw import hostile_host
from tests.hw.in_situ.learning_configs import eager
from tests.hw.unit_configs import busy, overlapped

#: Values that no setting, cell or header expects.
VALUES = (
    *(0, -1, 1, 2, 3, 255, 256, 65536, 2**31, 2**63, -(2**63), 10**30, 10**400),
    *(0.0, -0.0, 0.5, 1e-320, 1e-300, 1e300, -1e308, math.nan, math.inf, -math.inf),
    *(
        True,
        False,
        "",
        "x",
        "nan",
        "../x",
        "/etc/passwd",
        "a/b",
        "a\nb",
        "a\0b",
        "\x1b[2J",
        "\u202eü",
    ),
    *("x" * 300, "__import__('os').system('false')", [], [1], [[]], [0.5] * 50, {}, {"a": 1}),
)


def leaves(tree, path=()):
    """Paths of all entries of nested dictionaries and lists, tables themselves included."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, key))


def mutate(tree, rng):
    """One entry of a tree replaced, removed, repeated under another name, or scaled."""
    path = rng.choice(list(leaves(tree)))
    node = functools.reduce(lambda inner, key: inner[key], path[:-1], tree)
    key, old = path[-1], node[path[-1]]
    kind = rng.randrange(6)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[str(rng.choice(VALUES))] = old
    elif kind == 2 and isinstance(old, int | float) and math.isfinite(old):
        node[key] = old * rng.choice((-1, 0, 2, 10, 1000))
    else:
        node[key] = copy.deepcopy(rng.choice(VALUES))


def damage(data, rng):
    """Bytes truncated, flipped, repeated, filled or grown at random places."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, n = rng.randrange(len(data) + 1), rng.choice((1, 1, 1, 2, 4, 30))
        kind = rng.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at : at + n]
        elif kind == 2:
            data[at:at] = data[at : at + n]
        elif kind == 3:
            data[at : at + n] = bytes([rng.choice((0, 0x22, 0x5B, 0x7F, 0xFF))]) * n
        else:
            data[at:at] = rng.randbytes(n)
    return bytes(data) if rng.random() < 0.8 else bytes(data[: rng.randrange(len(data) + 1)])


def check_sentence(error):
    """One sentence, of a length that a person reads."""
    text = str(error)
    assert text.endswith("."), f"no sentence: {text!r}"
    assert len(text) < 2000, f"a message of {len(text)} characters: {text[:200]!r}"


def fuzz_config(rng, folder):
    """A TOML file with settings replaced, or its text damaged."""
    table = parse_table(to_toml(rng.choice(list(CONFIGURATIONS.values()))))
    for _ in range(rng.randint(1, 3)):
        mutate(table, rng)
    try:
        data = tomli_w.dumps(table).encode()
    except (TypeError, ValueError):  # what TOML cannot hold
        return
    if rng.random() < 0.3:
        data = damage(data, rng)
    path = folder / "hostile.toml"
    path.write_bytes(data)
    try:
        config = load(str(path))
    except ConfigError as error:
        check_sentence(error)
        return
    assert parse(to_toml(config)) == config
    assert config.description
    for part in (config, *vars(config).values()):
        for name, member in vars(type(part)).items():
            if isinstance(member, property):
                getattr(part, name)


def parse_table(text):
    """Plain tables of TOML text."""
    import tomllib

    return tomllib.loads(text)


@functools.cache
def saved_run():
    """A training run at its beginning, so that nothing is compiled, and its checkpoint's bytes."""
    training = Training(tiny_mca, datasets.load("mnist-sample"), seed=1)
    with tempfile.TemporaryDirectory() as folder:
        training.save(Path(folder) / "run.npz")
        return training, (Path(folder) / "run.npz").read_bytes()


def fuzz_checkpoint(rng, folder):
    """A saved run with a damaged archive, a changed header, or changed arrays."""
    training, whole = saved_run()
    path = folder / "run.npz"
    kind = rng.randrange(3)
    if kind == 0:
        path.write_bytes(damage(whole, rng))
    else:
        with np.load(io.BytesIO(whole)) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(str(arrays.pop("header")))
        if kind == 1:
            mutate(header, rng)
        else:
            name = rng.choice(list(arrays))
            arrays[name] = hostile_array(arrays[name], rng)
        buffer = io.BytesIO()
        store = np.savez_compressed if rng.random() < 0.1 else np.savez
        store(buffer, header=np.array(json.dumps(header)), **arrays)
        path.write_bytes(buffer.getvalue())
    for read in (training.restore, functools.partial(load_run, tiny_mca)):
        try:
            read(path)
        except CheckpointError as error:
            check_sentence(error)


def hostile_array(array, rng):
    """Another shape, type or content in place of an array."""
    kind = rng.randrange(6)
    if kind == 0 and array.dtype.kind != "U":
        return array.astype(rng.choice((np.uint8, np.float32, np.complex128, np.int64, "U4", "S3")))
    if kind == 1:
        return array.reshape(-1)[: rng.randrange(array.size + 1)]
    if kind == 2:
        return np.array(rng.choice(("", "{}", "[1]", "[" * 5000, '{"state": 1}', "\ud7ff")))
    if kind == 3:
        return np.array(rng.choice((0, -1, 1.5, np.nan, True)))
    array = array.copy()
    if array.dtype.kind == "f" and array.size:
        array.reshape(-1)[rng.randrange(array.size)] = rng.choice(
            (np.nan, np.inf, -np.inf, -1.0, 1e300)
        )
    elif array.dtype.kind in "iu" and array.size:
        info = np.iinfo(array.dtype)
        array.reshape(-1)[rng.randrange(array.size)] = rng.choice((info.min, info.max))
    elif array.dtype.kind == "U" and array.shape == ():
        state = json.loads(str(array))
        mutate(state, rng)
        return np.array(json.dumps(state))
    return array


def fuzz_idx(rng, folder):
    """An IDX file whose header lies, plain and behind the directory reader."""
    shape = tuple(
        rng.choice((0, 1, 2, 3, 255, 65535, 2**31, 2**32 - 1)) for _ in range(rng.randrange(5))
    )
    n_dims = rng.choice((len(shape), len(shape), 0, 64, 65, 255))
    data = struct.pack(f">HBB{len(shape)}I", 0, 8, n_dims, *shape)
    data += bytes(rng.choice((0, 1, 4, 500, min(math.prod(shape), 5000))))
    if rng.random() < 0.5:
        data = damage(data or b"\0", rng)
    try:
        datasets.parse_idx(data, "hostile")
    except DatasetError as error:
        check_sentence(error)
    for idx in datasets.SAMPLE:
        (folder / idx.stem).write_bytes(data)
    gz = folder / f"{datasets.SAMPLE[0].stem}.gz"
    if rng.random() < 0.3:
        (folder / datasets.SAMPLE[0].stem).unlink()
        import gzip

        gz.write_bytes(damage(gzip.compress(data, mtime=0), rng))
    try:
        datasets.load("mnist-sample", folder)
        raise AssertionError("a hostile data set was accepted")
    except DatasetError as error:
        check_sentence(error)
    finally:
        gz.unlink(missing_ok=True)


def fuzz_device_table(rng, folder):
    """A CSV table of steps with hostile cells, or damaged."""
    names = list(COLUMNS)
    rng.shuffle(names)
    rows = [names]
    for k in range(rng.randrange(5)):
        cells = [k, 1, 0.1] if rng.random() < 0.5 else rng.choices(VALUES, k=rng.randrange(5))
        rows.append(
            [
                str(cell) if not isinstance(cell, int) or abs(cell) < 1e50 else "1e400"
                for cell in cells
            ]
        )
    data = "\n".join(",".join(row) for row in rows).encode("utf-8", "replace")
    if rng.random() < 0.5:
        data = damage(data, rng)
    path = folder / "table.csv"
    path.write_bytes(data)
    try:
        knots, mean, std = read_device_table(path)
    except ConfigError as error:
        check_sentence(error)
        return
    assert (np.diff(knots) > 0).all()
    assert (std >= 0).all()
    assert np.isfinite([knots, mean, std]).all()


def fuzz_command_line(rng, _folder):
    """A command line with odd words, in a folder of its own."""
    fuzz_commands.fuzz_command_line(rng, saved_run()[1], mutate)


def fuzz_axi_traffic(rng, _folder):
    """Anything over the host's buses of a small unit, in Amaranth's simulator."""
    hostile_host.run_hostile(rng.choice((busy, overlapped, eager)), rng)


TARGETS = {
    "config": fuzz_config,
    "checkpoint": fuzz_checkpoint,
    "idx": fuzz_idx,
    "device_table": fuzz_device_table,
    "command_line": fuzz_command_line,
    "axi_traffic": fuzz_axi_traffic,
}


def run(target, seed, folder):
    """One hostile input; raises what the reader must not raise."""
    TARGETS[target](random.Random(f"{target} {seed}"), folder)


def main():
    """Entry point of the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--only", choices=TARGETS, action="append")
    parser.add_argument("--seed", type=int, default=0, help="the first; the others follow")
    asked = parser.parse_args()
    targets = asked.only or list(TARGETS)
    counts, spent = dict.fromkeys(targets, 0), dict.fromkeys(targets, 0.0)
    end, defects = time.monotonic() + 60 * asked.minutes, {}
    with tempfile.TemporaryDirectory() as folder:
        while (start := time.monotonic()) < end:
            # Each target gets as much time as the others.
            target = min(targets, key=spent.__getitem__)
            seed = asked.seed + counts[target]
            counts[target] += 1
            try:
                run(target, seed, Path(folder))
            except (Exception, fuzz_commands.Hang) as error:
                import traceback

                frame = traceback.extract_tb(error.__traceback__)[-1]
                key = (target, type(error).__name__, f"{Path(frame.filename).name}:{frame.lineno}")
                if key not in defects:
                    print(f"{key}: seed {seed}: {str(error)[:300]!r}", flush=True)
                defects[key] = defects.get(key, 0) + 1
            spent[target] += time.monotonic() - start
    print(
        ", ".join(f"{n} {target}" for target, n in counts.items()),
        "inputs;",
        len(defects),
        "defects",
    )
    sys.exit(bool(defects))


if __name__ == "__main__":
    main()
