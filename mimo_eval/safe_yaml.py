"""YAML that a person wrote: benchmarks, policies, recipes, the heads of cards; read without what could do harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mimo_eval.errors import ConfigError

MAX_BYTES = 1_000_000
"""Of a file."""
MAX_DEPTH = 50
MAX_NUMBER = 1000
"""Characters of a number."""
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def read_yaml(path: Path) -> Any:
    """Read one YAML file that a person wrote: a benchmark, a policy, a recipe.

    :param path: the file, of at most 1 MB.
    :return: its content; None for an empty file.
    :raises ConfigError: if it is missing, too large or not YAML; the message names the file.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_BYTES:,} bytes; this is nothing that a person wrote")
        return parse_yaml(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not YAML ({error})") from error


def parse_yaml(text: str) -> Any:
    """Read YAML: safe tags only, of bounded depth and numbers, and without aliases, which can expand without bound.

    :param text: the YAML.
    :return: its content; None for an empty text.
    :raises ValueError: if it is none; the message is one line.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError(f"aliases are not allowed (line {self.line + 1})")
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise yaml.YAMLError(f"nested deeper than {MAX_DEPTH} levels (line {self.line + 1})")
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            if node.tag in NUMBERS and len(node.value) > MAX_NUMBER:  # 1:1:1:… is one number, on base 60
                raise yaml.YAMLError(f"a number of {len(node.value):,} characters (line {node.start_mark.line + 1})")
            return super().construct_object(node, deep)

    try:
        return yaml.load(text, Loader=Loader)  # a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(str(error).splitlines()[0]) from error
