"""Compares simulated devices with the published model: docs/device_statistics.md and its figure.

    .venv/bin/python -m scripts.device_figures

Both files are byte-identical from run to run. ``--out FOLDER`` writes them elsewhere.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model.config import Config, ConverterConfig, DeviceConfig, NetworkConfig
from model.crossbar import PLUS, Crossbar, CrossbarState, advance, program, read_row
from model.devices import RESET, SET, drift_error_bound
from model.jit import njit

#: The population of the paper's characterisation: 10,000 devices, 20 SET pulses from about 0.06 uS,
#: each read 38.6 s after the pulse. Source: Nandakumar 2020.
N_ROWS, N_COLS = 100, 50
START_US = 0.06
N_PULSES = 20
PULSE_INTERVAL_S = 38.6

#: Mean and spread in uS after n pulses, no clip: a Monte Carlo of the published formulas, made
#: apart from this code.
PUBLISHED_STEPS = {1: (1.89, 1.73), 5: (5.78, 2.45), 10: (7.75, 2.48), 20: (9.37, 2.69)}
#: Mean step of the first ten pulses: the paper's epsilon, 0.77 uS; of the Monte Carlo, 0.769 uS.
PUBLISHED_MEAN_STEP_US = 0.769
#: Drift factor relative to 38.6 s after t seconds, from the formula, nu = 0.04.
PUBLISHED_DRIFT = {1e-6: 2.01, 1e-3: 1.53, 1.0: 1.157, 86400.0: 0.735, 2.628e6: 0.641}
#: Spread of a read in uS at a conductance in uS, from the formula.
PUBLISHED_NOISE = {0: 0.13, 2: 0.19, 4: 0.25, 6: 0.31, 8: 0.37, 10: 0.43}

#: Any seed would do; this one is recorded so that the page can be made again.
SEED = 2020
FIGURE = "device_statistics.svg"
PAGE = "device_statistics.md"


class Statistics(NamedTuple):
    """What the simulated population did."""

    #: Conductance after n = 0..20 pulses, float64 [21, n_devices], without and with the limits.
    free_us: NDArray[np.float64]
    limited_us: NDArray[np.float64]
    #: Drift factor of an array at times after a pulse, as its products see it.
    drift_s: NDArray[np.float64]
    drift_factor: NDArray[np.float64]
    #: Spread of reads at the conductances of PUBLISHED_NOISE.
    noise_us: NDArray[np.float64]
    #: Conductance after SET, RESET and before anything: mean and spread.
    reset_us: tuple[float, float]
    initial_us: tuple[float, float]


@njit
def _pulse_all(state: CrossbarState, kind: int, time_s: float) -> None:
    for row in range(state.n_rows):
        for col in range(state.n_cols):
            for device in range(2):
                program(state, row, col, device, kind, time_s)


@njit
def _read_often(state: CrossbarState, time_s: float, codes: NDArray[np.int16]) -> None:
    for k in range(codes.shape[0]):
        read_row(state, k % state.n_rows, PLUS, time_s, codes[k])


def _population(device: DeviceConfig, conductance_us: float, seed: int) -> Crossbar:
    """10,000 devices at one conductance, as if RESET at time 0; 12-bit reads of 0.01 uS."""
    config = Config(
        network=NetworkConfig(layers=(N_ROWS - 1, N_COLS)),
        converter=ConverterConfig(adc_bits=12, read_full_scale_us=20.48),
        device=device,
    )
    crossbar = Crossbar(config, 0, np.random.default_rng(seed))
    arrays = crossbar.save()
    arrays["conductance_us"][:] = conductance_us
    arrays["history"][:] = 1.0
    arrays["pulse_time_s"][:] = 0.0
    crossbar.load(arrays)
    return crossbar


def _pulsed(device: DeviceConfig, limited: bool, seed: int) -> tuple[Crossbar, NDArray[np.float64]]:
    """The population and its conductances after 0 to 20 SET pulses."""
    crossbar = _population(device, START_US, seed)
    if not limited:
        physics = crossbar.state.physics._replace(g_min_us=-1e9, g_max_us=1e9)
        crossbar.state = crossbar.state._replace(physics=physics)
    history = [crossbar.state.devices["conductance_us"].astype(np.float64)]
    for n in range(1, N_PULSES + 1):
        _pulse_all(crossbar.state, SET, n * PULSE_INTERVAL_S)
        history.append(crossbar.state.devices["conductance_us"].astype(np.float64))
    return crossbar, np.array(history)


def measure(seed: int = SEED) -> Statistics:
    """Runs the population through pulses, drift and reads."""
    device = DeviceConfig()
    _, free = _pulsed(device, False, seed)
    crossbar, limited = _pulsed(device, True, seed + 1)
    _pulse_all(crossbar.state, RESET, crossbar.time_s)
    reset = crossbar.state.devices["conductance_us"].astype(np.float64)
    fresh = Crossbar(crossbar.config, 0, np.random.default_rng(seed + 2)).conductances(0.0)

    # All conductance in the positive devices: then a weight is a conductance.
    ageing = _population(device, 8.0, seed)
    arrays = ageing.save()
    arrays["conductance_us"][..., 1] = 0.0
    ageing.load(arrays)
    times = np.geomspace(1e-6, 2.628e6, 400)
    factors = []
    for time_s in times:
        advance(ageing.state, float(time_s))
        factors.append(float(ageing.state.weight[0, 0]) * ageing.state.physics.weight_us / 8.0)

    noise = []
    for conductance in PUBLISHED_NOISE:
        still = _population(DeviceConfig(drift_nu=0.0), float(conductance), seed + 3)
        codes = np.empty((1000, N_COLS), np.int16)
        _read_often(still.state, 1.0, codes)
        noise.append(float(codes.std()) * still.state.physics.read_lsb_us)
    return Statistics(
        free_us=free,
        limited_us=limited,
        drift_s=times,
        drift_factor=np.array(factors),
        noise_us=np.array(noise),
        reset_us=(float(reset.mean()), float(reset.std())),
        initial_us=(float(fresh.mean()), float(fresh.std())),
    )


def draw(statistics: Statistics) -> Figure:
    """Four panels: steps, distributions, drift, read noise; the model's points over the lines."""
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    steps, spread, drift, noise = figure.subplots(2, 2).ravel()
    pulses = np.arange(N_PULSES + 1)
    mean, std = statistics.free_us.mean(1), statistics.free_us.std(1)
    steps.fill_between(pulses, mean - std, mean + std, alpha=0.2, label="± one spread")
    steps.plot(pulses, mean, label="mean, no limits")
    steps.plot(pulses, statistics.limited_us.mean(1), "--", label="mean, 0.1 to 20 µS")
    published = np.array([(n, *value) for n, value in PUBLISHED_STEPS.items()])
    steps.errorbar(*published.T[:2], yerr=published.T[2], fmt="ko", ms=4, label="published model")
    steps.set(xlabel="SET pulses", ylabel="conductance (µS)", title="Accumulation")
    steps.legend(loc="lower right", fontsize="small")

    bins = np.linspace(-2, 20, 89)
    for n in PUBLISHED_STEPS:
        density, _ = np.histogram(statistics.free_us[n], bins, density=True)
        spread.stairs(density, bins, label=f"{n} pulse{'s' if n > 1 else ''}")
    spread.set(xlabel="conductance (µS)", ylabel="density (1/µS)", title="10,000 devices")
    spread.legend(fontsize="small")

    drift.semilogx(statistics.drift_s, statistics.drift_factor, label="array, age classes")
    drift.semilogx(list(PUBLISHED_DRIFT), list(PUBLISHED_DRIFT.values()), "ko", ms=4, label="model")
    drift.set(xlabel="time after the pulse (s)", ylabel="G / G(38.6 s)", title="Drift, ν = 0.04")
    drift.legend(fontsize="small")

    conductances = list(PUBLISHED_NOISE)
    noise.plot(conductances, statistics.noise_us, label="50,000 reads a point")
    noise.plot(conductances, list(PUBLISHED_NOISE.values()), "ko", ms=4, label="model")
    noise.set(xlabel="conductance (µS)", ylabel="spread of reads (µS)", title="Read noise")
    noise.set_ylim(bottom=0)
    noise.legend(fontsize="small")
    return figure


def page(statistics: Statistics) -> str:
    """The Markdown page; every number on it is computed here or is a constant above."""
    free, limited = statistics.free_us, statistics.limited_us
    lines = [
        "# Device statistics: the simulated devices against the published model",
        "",
        "Generated by `scripts/device_figures.py`; how the devices work is in"
        " [devices.md](devices.md).",
        "",
        f"![Accumulation, distributions, drift and read noise]({FIGURE})",
        "",
        "## Conductance after SET pulses",
        "",
        f"10,000 devices from {START_US} uS, 20 SET pulses. The *reference* is a Monte Carlo of the"
        " published formulas (J. Appl. Phys. 124, 152135, in the parameters of srnn-pcm), made"
        " apart from this code and without limits.",
        "",
        "| pulses | reference mean (uS) | simulated | reference spread (uS) | simulated |"
        " with limits: mean | spread |",
        "|---|---|---|---|---|---|---|",
    ]
    for n, (mean, std) in PUBLISHED_STEPS.items():
        lines.append(
            f"| {n} | {mean:.2f} | {free[n].mean():.2f} | {std:.2f} | {free[n].std():.2f} "
            f"| {limited[n].mean():.2f} | {limited[n].std():.2f} |"
        )
    step, limited_step = ((g[10].mean() - g[0].mean()) / 10 for g in (free, limited))
    lines += [
        "",
        f"Mean step of the first ten pulses: {step:.3f} uS simulated ({limited_step:.3f} uS with"
        f" limits), {PUBLISHED_MEAN_STEP_US:.3f} uS in the reference; the paper's epsilon is 0.77"
        " uS a pulse. Standard error of a mean here: 0.03 uS or less.",
        "",
        "## Drift",
        "",
        "What the products of an array see, device times in age classes, against the power law.",
        "",
        "| time after the pulse (s) | (t / 38.6 s)^-0.04 | simulated |",
        "|---|---|---|",
    ]
    for time_s, factor in PUBLISHED_DRIFT.items():
        nearest = int(np.argmin(np.abs(np.log(statistics.drift_s / time_s))))
        exact = statistics.drift_factor[nearest] * (statistics.drift_s[nearest] / time_s) ** 0.04
        lines.append(f"| {time_s:g} | {factor:.3g} | {exact:.3f} |")
    error = statistics.drift_factor / (statistics.drift_s / 38.6) ** -0.04 - 1
    lines += [
        "",
        f"Largest error of the age classes on 400 times from 1 us to a month:"
        f" {np.abs(error).max():.3%}; the stated bound is {drift_error_bound(DeviceConfig()):.3%}.",
        "",
        "## Read noise, RESET, initial state",
        "",
        "| conductance (uS) | 0.03 G + 0.13 uS | simulated spread of a read (uS) |",
        "|---|---|---|",
    ]
    for (conductance, sigma), got in zip(PUBLISHED_NOISE.items(), statistics.noise_us, strict=True):
        lines.append(f"| {conductance} | {sigma:.2f} | {got:.3f} |")
    lines += [
        "",
        f"After RESET: {statistics.reset_us[0]:.4f} ± {statistics.reset_us[1]:.4f} uS"
        " (model 0.1 ± 0.01 uS). Initial devices:"
        f" {statistics.initial_us[0]:.3f} ± {statistics.initial_us[1]:.3f} uS; the paper gives"
        " 1.6 ± 0.83 uS, which the lower limit of 0.1 uS changes a little.",
        "",
    ]
    return "\n".join(lines)


def write(folder: Path, seed: int = SEED) -> tuple[Path, Path]:
    """Measures and writes page and figure into ``folder``; their paths."""
    statistics = measure(seed)
    folder.mkdir(parents=True, exist_ok=True)
    # Fixed identifiers and no date: the same bytes every time.
    with mpl.rc_context({"svg.hashsalt": "mixbar", "svg.fonttype": "none"}):
        draw(statistics).savefig(folder / FIGURE, metadata={"Date": None})
    (folder / PAGE).write_text(page(statistics), encoding="utf-8")
    return folder / PAGE, folder / FIGURE


def main() -> None:
    """Parses, writes, and prints what was written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder (default: docs)")
    for path in write(parser.parse_args().out):
        print(path)


if __name__ == "__main__":
    main()
