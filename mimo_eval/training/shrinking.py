"""From a trained static student to the 8-bit model that the package carries: axes evened out, vectors rounded, a card.

`python -m mimo_eval.training.shrinking MODEL FOLDER --data DATA`
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mimo_eval.errors import ConfigError
from mimo_eval.files import atomic_write
from mimo_eval.models.mimo_mini import write
from mimo_eval.training.material import data_root, prepare
from mimo_eval.training.recipe import load_recipe
from mimo_eval.training.students.static import token_ids

POWER = 0.2
"""Of the variances, by which axes are divided: 0 leaves them, 0.5 whitens. Chosen by nDCG@20 on `mini`."""
AGAIN = "`mimo-eval train recipe.yaml -o MODEL` with this file, then `python -m mimo_eval.training.shrinking MODEL FOLDER`:"
"""How the model is made again, in the card."""
SAMPLE = 20_000
"""Training texts from which variances are taken."""


def evened(weights: np.ndarray, means: np.ndarray, power: float) -> np.ndarray:
    """Turn token vectors to the principal axes of the texts and divide each axis by a power of its variance.

    A mean of vectors that were mapped is the mapped mean, so a linear map of embeddings can be put into the table.

    :param weights: (vocabulary, d) token vectors.
    :param means: (n, d) embeddings of texts, any length.
    :param power: 0 to 0.5.
    :return: (vocabulary, d) token vectors; with power 0 all cosines are as before.
    """
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    unit = (means / np.where(lengths == 0, 1, lengths)).astype(np.float64)
    variance, axes = np.linalg.eigh(unit.T @ unit / len(unit))
    floor = 1e-6 * variance.max()
    return np.asarray(weights @ (axes * np.maximum(variance, floor) ** -power), np.float32)


def embedded(weights: np.ndarray, tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    """Return the means of token vectors.

    :param weights: (vocabulary, d).
    :param tokenizer: whose ids are its rows.
    :param texts: n texts.
    :return: (n, d) float32; zeros for a text without a token.
    """
    from scipy.sparse import csr_array

    ids, starts = token_ids(tokenizer, list(texts))
    counts = csr_array((np.ones(len(ids), np.float32), ids, starts), shape=(len(texts), len(weights)))
    return np.asarray((counts @ weights) / np.maximum(np.diff(starts), 1)[:, None], np.float32)


def rounded(tokenizer: Any) -> Any:
    """Round the scores of a Unigram tokenizer's pieces to three decimals, which shortens its file by a third.

    :param tokenizer: any; of another kind it is returned as it is.
    :return: the tokenizer.
    """
    from tokenizers import Tokenizer

    content: dict[str, Any] = json.loads(tokenizer.to_str())
    if content["model"]["type"] != "Unigram":
        return tokenizer
    content["model"]["vocab"] = [[piece, round(score, 3)] for piece, score in content["model"]["vocab"]]
    return Tokenizer.from_str(json.dumps(content, ensure_ascii=False))


def shrink(model: Path, folder: Path, data: Path | None = None, power: float = POWER) -> None:
    """Write the 8-bit model of a trained static student, with its card.

    :param model: what `mimo-eval train` wrote.
    :param folder: where the 8-bit model goes.
    :param data: folder of the recipe's data.
    :param power: of the variances; see `evened`.
    :raises ConfigError: if the model is not a static student.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    table = SentenceTransformer(str(model), device="cpu")[0]
    if not isinstance(table, StaticEmbedding):
        raise ConfigError(f"{model}: not a static student, so it has no table of token vectors")
    weights, tokenizer = table.embedding.weight.detach().numpy(), rounded(table.tokenizer)
    recipe = load_recipe(str(model / "recipe.yaml"))
    lines = prepare(recipe, data_root(recipe, data)).parallel
    if lines is None:
        raise ConfigError(f"{model}: its recipe has no parallel text")
    rows = np.random.default_rng(recipe.seed).permutation(len(lines))[:SAMPLE]
    sample = list(lines.text(np.sort(rows)).to_pylist())
    write(folder, evened(weights, embedded(weights, tokenizer, sample), power), tokenizer)
    with atomic_write(folder / "README.md", "w") as stream:
        stream.write(card((model / "README.md").read_text("utf-8"), recipe.name, weights.shape, power))


def card(original: str, name: str, shape: tuple[int, ...], power: float) -> str:
    """Return the card of the 8-bit model: that of the student, its use and what was done to it instead of the student's.

    :param original: card of the student, as `mimo-eval train` wrote it.
    :param name: of the model.
    :param shape: vocabulary and dimension.
    :param power: see `evened`.
    :return: Markdown.
    """
    _, metadata, rest = original.split("---\n", 2)
    metadata = "".join(line for line in metadata.splitlines(True) if not line.startswith(("library_name", "- sentence-tr")))
    text = (
        f"# {name}\n\nA static encoder of {shape[0]:,} tokens and {shape[1]} dimensions: the mean of its tokens' vectors, "
        "which are kept as 8-bit integers with a scale each. It needs numpy and `tokenizers`, no network, no accelerator.\n\n"
        f"```\nmimo-eval run {name} -b mini\n```\n\n```python\nfrom mimo_eval.models.loading import load_model\n\n"
        f'vectors = load_model("{name}").encode(["Where is the station?"], role="query", lang="en")\n```\n\n'
        "The student below was trained; then its vectors were turned to the principal axes of its training texts, each axis "
        f"was divided by the power {power:g} of its variance, and every token's vector was rounded.\n\n"
    )
    rest = rest.replace("`mimo-eval train recipe.yaml` with this file, which lies beside:", AGAIN)
    return f"---\n{metadata}---\n\n{text}## Data{rest.partition('## Data')[2]}"


def main() -> None:
    """Run `shrink` from the command line."""
    parser = ArgumentParser(prog="python -m mimo_eval.training.shrinking", description=shrink.__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--power", type=float, default=POWER)
    shrink(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
