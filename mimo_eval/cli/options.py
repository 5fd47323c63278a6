"""Options that several commands share, as decorators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mimo_eval.models.loading import Model

F = TypeVar("F", bound=Callable[..., Any])


def data_option(function: F) -> F:
    """Add `--data`."""
    return click.option(
        "--data",
        type=click.Path(exists=True, path_type=Path),
        help="Folder or archive with the collection's files, or a folder of one per collection; else $MIMO_EVAL_DATA.",
    )(function)


def format_option(*formats: str) -> Callable[[F], F]:
    """Return what adds `--format`.

    :param formats: the choices; the first is taken if none is given.
    :return: a decorator; the option's value is called `layout`.
    """
    help_ = "How it is printed: the first for people, the others for programs and pages."
    return click.option("--format", "layout", type=click.Choice(formats), default=formats[0], show_default=True, help=help_)


def benchmark_option(function: F) -> F:
    """Add `--benchmark`."""
    help_ = "Benchmark: a name, a YAML file, or a collection's folder."
    return click.option("-b", "--benchmark", default="mini", show_default=True, help=help_)(function)


def languages_option(function: F) -> F:
    """Add `--languages`."""
    return click.option("--languages", metavar="CODES", help="Only these languages, such as en,de,zh.")(function)


def output_option(function: F) -> F:
    """Add `--output`."""
    kind = click.Path(file_okay=False, path_type=Path)
    help_ = "Folder where results are kept, and found again."
    return click.option("-o", "--output", type=kind, default=Path("results"), show_default=True, help=help_)(function)


def _dimensions(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Return whole numbers of at least 1 from between commas, each once."""
    if value is None:
        return None
    parts = value.split(",")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"'{value}' is no list of whole numbers of at least 1, such as 64,128,256", ctx, param)
    return tuple(dict.fromkeys(map(int, parts)))


MODEL_OPTIONS = (
    click.option("--device", help="Device to encode on, such as cpu, cuda or cuda:1; torch's choice if not given."),
    click.option(
        "--dtype", type=click.Choice(["float32", "float16", "bfloat16"]), help="Precision of the weights while encoding."
    ),
    click.option(
        "--backend",
        type=click.Choice(["torch", "onnx", "openvino"]),
        help="Library that runs transformers; torch if not given.",
    ),
    click.option(
        "--attention",
        type=click.Choice(["eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3"]),
        help="Implementation of attention; transformers' own choice if not given.",
    ),
    click.option("--compile", is_flag=True, default=None, help="Let torch compile the model; pays on GPUs alone."),
    click.option(
        "--batch-size", type=click.IntRange(min=1), help="Texts in a batch of the longest ones; of shorter ones there are more."
    ),
    click.option(
        "--max-length", type=click.IntRange(min=1), help="Tokens of a text that are read; the model's own limit if not given."
    ),
    click.option(
        "--truncate-dim",
        "truncate_dims",
        metavar="DIMS",
        callback=_dimensions,
        help="Keep this many leading dimensions; several, such as 64,128,256, are so many models, encoded once.",
    ),
    click.option(
        "--storage",
        type=click.Choice(["float32", "float16", "int8", "binary"]),
        help="How documents' vectors are stored, and so compared; float32 if not given, as queries always are.",
    ),
    click.option("--revision", help="Branch, tag or commit of a model on the hub."),
    click.option("--query-prompt", help="Text put before queries, instead of the model's own."),
    click.option("--document-prompt", help="Text put before documents, instead of the model's own."),
    click.option("--trust-remote-code", is_flag=True, default=None, help="Run Python code that comes with a model."),
    click.option("--allow-pickled-weights", is_flag=True, default=None, help="Load a model whose weights are no safetensors."),
)


def load_models(models: Sequence[str], truncate_dims: Sequence[int] | None = None, **options: Any) -> list[Model]:
    """Return the models that a command names, each once; one for each width where several are given.

    :param models: as typed.
    :param truncate_dims: leading dimensions to keep.
    :param options: the other options of `model_options`.
    :return: the models; one that takes no width stands once.
    """
    from mimo_eval.models.loading import ModelOptions, load_model, model_name

    found: list[Model] = []
    for model in dict.fromkeys(models):
        loaded = [load_model(model, ModelOptions(truncate_dim=width, **options)) for width in truncate_dims or (None,)]
        found += {model_name(each): each for each in loaded}.values()
    return found


def model_options(function: F) -> F:
    """Add options that `load_models` takes."""
    for option in reversed(MODEL_OPTIONS):
        function = option(function)
    return function
