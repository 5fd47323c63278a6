"""The error tree: one root that the command line catches, and one child per exit code."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


class MimoEvalError(Exception):
    """Root of every error that names a user's mistake and its remedy; printed without a traceback."""

    exit_code = 1


class ConfigError(MimoEvalError):
    """A name, option, mix or benchmark that cannot be understood."""

    exit_code = 2


class MissingExtraError(ConfigError):
    """A package that an option needs is not installed; the message holds the install line."""


class DataError(MimoEvalError):
    """A file, collection, run or result that is not what it should be."""

    exit_code = 3


class MissingBaselineError(DataError):
    """A gate without a baseline."""

    exit_code = 4


class CacheError(MimoEvalError):
    """Stored vectors or indexes that cannot be read or written."""

    exit_code = 3


class ModelError(MimoEvalError):
    """A model that cannot be loaded, or that returned something unusable."""

    exit_code = 3


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module.

    :param module: the module to import.
    :param extra: the extra of `mimo-eval` that brings it.
    :return: the module.
    :raises MissingExtraError: if it is not installed; the message holds the exact install line.
    """
    try:
        return import_module(module)
    except (ImportError, RuntimeError) as error:  # faiss-gpu without its CUDA wheels raises RuntimeError
        raise MissingExtraError(
            f"the Python module '{module}' cannot be imported ({error}); install it with: pip install 'mimo-eval[{extra}]'"
        ) from error
