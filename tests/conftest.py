"""Settings of all tests: one hypothesis profile, the same examples on every machine."""

from hypothesis import HealthCheck, settings

# Derandomised: a red run is red again when repeated. No deadline: compiled functions warm up in
# their first call.
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")
