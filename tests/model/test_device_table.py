"""CSV device tables: what is read, and the sentence for what cannot be."""

from dataclasses import replace

import numpy as np
import pytest

from model.config import ConfigError, DeviceConfig
from model.device_table import read_device_table
from model.devices import interpolate_step, step_table

GOOD = "conductance_us,mean_step_us,std_step_us\n0,1.0,0.2\n4,0.5,0.4\n10,0,0.1\n"


def write(folder, text):
    path = folder / "my device.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns(tmp_path):
    conductance, mean, std = read_device_table(write(tmp_path, GOOD))
    np.testing.assert_array_equal(conductance, [0, 4, 10])
    np.testing.assert_array_equal(mean, [1, 0.5, 0])
    np.testing.assert_array_equal(std, [0.2, 0.4, 0.1])


def test_order_comments_and_other_columns(tmp_path):
    text = "# measured\n\nstd_step_us, lot ,conductance_us,mean_step_us\n0.2,A,0,1\n# end\n"
    text += "0.4,B,4,0.5\n"
    conductance, mean, std = read_device_table(write(tmp_path, text))
    np.testing.assert_array_equal([conductance, mean, std], [[0, 4], [1, 0.5], [0.2, 0.4]])


@pytest.mark.parametrize(
    ("conductance", "mean", "std"),
    [(0, 1, 0.2), (2, 0.75, 0.3), (4, 0.5, 0.4), (7, 0.25, 0.25), (10, 0, 0.1), (15, 0, 0.1)],
)
@pytest.mark.parametrize("history", [0.0, 0.5, 1.0])
def test_linear_between_rows_held_beyond(tmp_path, conductance, mean, std, history):
    table = step_table(replace(DeviceConfig(), model=str(write(tmp_path, GOOD))))
    assert interpolate_step(table, conductance, history) == pytest.approx((mean, std))


def test_one_row_is_a_constant_step(tmp_path):
    text = "conductance_us,mean_step_us,std_step_us\n3,0.7,0.1\n"
    table = step_table(replace(DeviceConfig(), model=str(write(tmp_path, text))))
    for conductance in (0.0, 3.0, 9.0):
        assert interpolate_step(table, conductance, 0.3) == pytest.approx((0.7, 0.1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "missing: conductance_us, mean_step_us, std_step_us"),
        ("conductance_us,mean_step_us\n0,1\n", "missing: std_step_us"),
        ("conductance_us,mean_step_us,std_step_us\n", "has no rows"),
        (GOOD.replace("0.5", "nan"), "line 3: mean_step_us must be a finite number, not 'nan'"),
        (GOOD.replace("0.5", "inf"), "line 3: mean_step_us must be a finite number"),
        (GOOD.replace("0.5", "half"), "not 'half'"),
        (GOOD.replace("4,0.5,0.4", "4,0.5"), "std_step_us must be a finite number, not ''"),
        (GOOD.replace("4,", "12,"), "line 4: conductance_us must rise"),
        (GOOD.replace("4,", "0,"), "must rise from row to row, but 0 follows 0"),
        (GOOD.replace("0.4", "-0.4"), "line 3: conductance and spread must not be negative"),
        (GOOD.replace("\n0,", "\n-1,"), "line 2: conductance and spread must not be negative"),
    ],
)
def test_wrong_table(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_device_table(write(tmp_path, text))


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="Cannot read device table .*: No such file"):
        read_device_table(tmp_path / "none.csv")


def test_not_text(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        read_device_table(path)
