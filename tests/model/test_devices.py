"""Device statistics against the published model and an independent Monte Carlo of it."""

import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model import device_code
from model.config import ConfigError, DeviceConfig
from model.devices import (
    CLASSES_PER_OCTAVE,
    N_AGE_CLASSES,
    PcmStep,
    class_starts,
    drift_error_bound,
    drift_factors,
    find_age_class,
    initial_history,
    interpolate_step,
    step_table,
)

DEVICE = DeviceConfig()


def saturating_step(conductance_us, history):
    """A Python-defined device: the step falls linearly to zero at 10 uS; a fifth of it scatters."""
    mean = np.maximum(1.0 - conductance_us / 10.0, 0.0)
    return mean, 0.2 * mean + 0.0 * history


def negative_spread(conductance_us, history):
    return conductance_us, -1.0 - history


def wrong_shape(conductance_us, history):
    return 1.0, 1.0


def failing(conductance_us, history):
    raise ValueError("no such device")


NOT_CALLABLE = 3


@pytest.mark.parametrize("conductance", [0.0, 0.01, 0.1, 1.6, 7.75, 20.0])
@pytest.mark.parametrize("history", [0.0, 0.2, 0.681, 1.0])
def test_pcm_table_is_the_formula(conductance, history):
    mean, std = interpolate_step(step_table(DEVICE), conductance, history)
    assert mean == pytest.approx(-0.084 * conductance + 0.880 + 1.40 * history, abs=1e-12)
    assert std == pytest.approx(0.091 * conductance + 0.260 + 2.15 * history, abs=1e-12)


@pytest.mark.parametrize(
    ("conductance", "step"), [(0, 0.88), (2, 0.71), (4, 0.54), (6, 0.38), (8, 0.21), (10, 0.04)]
)
def test_pcm_stationary_step(conductance, step):
    # From the reference's table of the model at P -> 0, two decimals.
    mean, _ = interpolate_step(step_table(DEVICE), conductance, 0.0)
    assert mean == pytest.approx(step, abs=0.005)


def test_table_is_held_beyond_its_ends():
    table = step_table(DEVICE)
    assert interpolate_step(table, 100.0, 0.5) == interpolate_step(table, 20.0, 0.5)
    assert interpolate_step(table, -1.0, 2.0) == interpolate_step(table, 0.0, 1.0)


@pytest.fixture
def allowed(monkeypatch):
    """Code is allowed, until the test ends."""
    monkeypatch.setenv(device_code.ALLOWED, "")
    device_code.allow()


@pytest.mark.usefixtures("allowed")
def test_python_device_is_sampled():
    table = step_table(replace(DEVICE, model=f"{__name__}:saturating_step"))
    for conductance in (0.0, 0.3, 4.2, 9.9):
        mean, std = interpolate_step(table, conductance, 0.4)
        assert mean == pytest.approx(1 - conductance / 10, abs=1e-9)
        assert std == pytest.approx(0.2 * (1 - conductance / 10), abs=1e-9)
    assert interpolate_step(table, 15.0, 0.4) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("resistor", "must be pcm, the path of a .csv table, file.py:function or module:function"),
        ("no_such_file.py:step", "cannot be imported: .*No such file"),
        ("a:b:c", "cannot be imported"),
        (":step", "cannot be imported"),
        ("math:", "cannot be imported"),
        ("no_such_module:step", "cannot be imported"),
        (f"{__name__}:no_such_name", "cannot be imported"),
        (f"{__name__}:NOT_CALLABLE", "must be a function"),
        (f"{__name__}:negative_spread", "a finite spread of at least 0"),
        (f"{__name__}:wrong_shape", "must return mean and spread of shape"),
        (f"{__name__}:failing", "failed on arrays of conductance and history: no such device"),
    ],
)
@pytest.mark.usefixtures("allowed")
def test_wrong_model(model, message):
    with pytest.raises(ConfigError, match=message):
        step_table(replace(DEVICE, model=model))


def test_pcm_spread_must_not_be_negative():
    with pytest.raises(ConfigError, match="finite spread of at least 0"):
        step_table(replace(DEVICE, std_offset_us=-5.0))


def test_initial_history_follows_the_average_path():
    table = step_table(DEVICE)
    # RESET, then whole average pulses: P must be exp(-n / 2.6) exactly there.
    conductance, expected = DEVICE.reset_mean_us, [1.0]
    path = [conductance]
    for n in range(1, 8):
        history = math.exp(-n / DEVICE.history_pulses)
        conductance += PcmStep(DEVICE)(np.array(conductance), np.array(history))[0]
        path.append(float(conductance))
        expected.append(history)
    np.testing.assert_allclose(initial_history(table, DEVICE, np.array(path)), expected, rtol=1e-9)
    assert initial_history(table, DEVICE, np.array(1.6)) == pytest.approx(0.73, abs=0.005)
    assert initial_history(table, DEVICE, np.array(0.0)) == 1.0
    assert initial_history(table, DEVICE, np.array(20.0)) < 1e-9


def test_initial_history_of_a_device_that_cannot_be_set():
    table = step_table(replace(DEVICE, mean_offset_us=-1.0, mean_history_us=0.0))
    history = initial_history(table, DEVICE, np.linspace(0.0, 20.0, 9))
    assert ((history > 0) & (history <= 1)).all()


def test_age_classes_partition_time():
    starts = class_starts()
    assert starts.size == N_AGE_CLASSES + 1
    assert (np.diff(starts) > 0).all()
    for k in (0, 1, 15, 16, 175, 600, N_AGE_CLASSES - 1):
        assert find_age_class(starts[k], starts) == k
        assert find_age_class(np.nextafter(starts[k + 1], 0), starts) == k
    assert find_age_class(0.0, starts) == 0
    assert find_age_class(-5.0, starts) == 0
    assert find_age_class(1e30, starts) == N_AGE_CLASSES - 1


@pytest.mark.parametrize(
    ("elapsed_s", "factor"),
    [(1.0, 1.157), (1e-3, 1.53), (1e-6, 2.01), (86400.0, 0.735), (38.6, 1.0)],
)
def test_drift_factor(elapsed_s, factor):
    # Published: within the rounding of the figures and the bound of the classes.
    got = drift_factors(DEVICE)[find_age_class(elapsed_s, class_starts())]
    assert got == pytest.approx(factor, rel=0.004)
    assert got == pytest.approx((elapsed_s / 38.6) ** -0.04, rel=drift_error_bound(DEVICE))


def test_drift_error_bound_holds_and_is_reached():
    starts = class_starts()[:-1]
    factors = drift_factors(DEVICE)[:N_AGE_CLASSES]
    bound = drift_error_bound(DEVICE)
    assert bound < 0.001
    assert bound == pytest.approx(0.04 * math.log(2) / (2 * CLASSES_PER_OCTAVE), rel=1e-3)
    worst = 0.0
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        exact = (starts * 2 ** (share / CLASSES_PER_OCTAVE) / 38.6) ** -0.04
        worst = max(worst, np.abs(factors / exact - 1).max())
    assert worst <= bound * (1 + 1e-9)
    assert worst > 0.99 * bound


def example(language):
    """The last code block of a language in docs/devices.md."""
    text = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[-1]


@pytest.mark.usefixtures("allowed")
def test_documented_function_works(tmp_path, monkeypatch):
    (tmp_path / "documented_device.py").write_text(example("python"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    table = step_table(replace(DEVICE, model="documented_device:step"))
    monkeypatch.delitem(sys.modules, "documented_device")
    mean, std = interpolate_step(table, 4.0, 0.5)
    assert mean == pytest.approx(1.2 * math.exp(-0.5) * 0.8, rel=1e-5)
    assert std == pytest.approx(0.3 * mean + 0.05)
    from_file = step_table(replace(DEVICE, model=str(tmp_path / "documented_device.py:step")))
    np.testing.assert_array_equal(from_file.mean_us, table.mean_us)


@pytest.mark.usefixtures("allowed")
def test_broken_python_file(tmp_path):
    (tmp_path / "broken.py").write_text("def step(:", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be imported: invalid syntax"):
        step_table(replace(DEVICE, model=str(tmp_path / "broken.py:step")))


def test_documented_table_works(tmp_path):
    (tmp_path / "measured.csv").write_text(example("csv"), encoding="utf-8")
    table = step_table(replace(DEVICE, model=str(tmp_path / "measured.csv")))
    assert interpolate_step(table, 10.0, 0.5) == pytest.approx((0.41, 0.515))
