"""Devices that are Python code: ``device.model = "file.py:name"`` runs only if the user allows it.

A configuration is data from anyone, so naming code in it is not enough. The permission is given on
the command line (``--allow-code``) or by :func:`allow`, never by a file.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model.settings import ConfigError

__all__ = ["ALLOWED", "allow", "import_function", "is_code", "require_allowed"]

#: The variable of the environment that carries the permission: the processes of a run inherit it.
ALLOWED = "MIXBAR_ALLOW_CODE"


def is_code(model: str) -> bool:
    """Whether a ``device.model`` names a function: ``file.py:name`` or ``module:name``."""
    return ":" in model and not model.endswith(".csv")


def allow() -> None:
    """Lets configurations run the code that they name, in this process and those it starts."""
    os.environ[ALLOWED] = "1"


def require_allowed(model: str) -> None:
    """Refuses a ``device.model`` that is code unless code is allowed.

    Raises
    ------
    ConfigError
        With what the user can do.
    """
    if is_code(model) and os.environ.get(ALLOWED) != "1":
        raise ConfigError(
            f"device.model {model!r} is Python code, which is not run unasked: read it, then give "
            "--allow-code (in Python: model.device_code.allow())."
        )


def import_function(model: str) -> Callable[..., Any]:
    """The function that a ``device.model`` names.

    Raises
    ------
    ConfigError
        If code is not allowed, cannot be imported, or is no function.
    """
    require_allowed(model)
    source, _, name = model.rpartition(":")
    try:
        if source.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(source).stem, source)
            assert spec is not None  # the suffix chooses the loader
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(source)
        function = getattr(module, name)
    # Whatever the user's file raises is the user's to read, in one sentence.
    except Exception as error:
        raise ConfigError(f"device.model {model!r} cannot be imported: {error}.") from None
    if not callable(function):
        raise ConfigError(f"device.model {model!r} must be a function of conductance and history.")
    result: Callable[..., Any] = function
    return result
