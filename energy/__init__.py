"""Energy, time and area from activity counts and sourced tables."""
