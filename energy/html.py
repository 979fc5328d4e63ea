"""HTML pages that need no other file and no network, from the templates of this project."""

from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2

__all__ = ["render"]


def render(
    template: Path, filters: Mapping[str, Callable[..., str]] | None = None, **values: object
) -> str:
    """The template with values filled in, escaped; a name without a value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters or {})
    return environment.get_template(template.name).render(values)
