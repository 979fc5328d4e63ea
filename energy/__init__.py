"""Energy, time and area: from activity to figures whose every number leads to its source."""
