"""What the tests of the estimator share: a small record of activity and the images' statistics."""

from pathlib import Path

import pytest

from energy import activity as activities
from energy.activity import InputStatistics


@pytest.fixture(scope="session")
def activity():
    return activities.load(Path(__file__).parent / "activity_sample.json")


@pytest.fixture(scope="session")
def inputs():
    return InputStatistics(drive=26_000, lines=150)
