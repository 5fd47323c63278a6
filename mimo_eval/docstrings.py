"""Docstrings as users read them."""

from __future__ import annotations

import inspect
import re
from typing import Any


def prose(documented: Any) -> str:
    """Return a docstring without its list of parameters, and without mark-up.

    :param documented: a class, a function or an object with a docstring of its own.
    """
    text = re.split(r"^:\w+", inspect.getdoc(documented) or "", maxsplit=1, flags=re.M)[0]
    return re.sub(r"([`*])(\S|\S[^`*]*\S)\1", r"\2", text).strip()
