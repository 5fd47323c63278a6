"""Write the tables that pages take from declarations, and the JSON schema of results: `python docs/tables.py`.

A page says where with `<!-- arguments NAME [own|shared] -->` or `<!-- fields CLASS -->`, up to the next `<!-- end -->`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from pydantic import BaseModel

from mimo_eval import results
from mimo_eval.cli.models import arguments
from mimo_eval.models.describing import found

HERE = Path(__file__).parent
SCHEMA = HERE / "result.schema.json"
PAGES = (HERE / "models.md", HERE / "results.md")
MARK = re.compile(r"<!-- (arguments|fields) (\S+)(?: (own|shared))? -->\n.*?<!-- end -->", re.S)


def filled(page: str) -> str:
    """Return a page with its tables made anew.

    :param page: the page.
    :return: the same page, but for what stands between the marks.
    """
    return MARK.sub(_block, page)


def _block(match: re.Match[str]) -> str:
    what, name, part = match.groups()
    if what == "fields":
        made = fields(getattr(results, name))
    else:
        made = arguments(found(name), None if part is None else part == "shared")
    return f"{match[0].splitlines()[0]}\n\n{made}\n\n<!-- end -->"


def fields(model: type[BaseModel]) -> str:
    """Return the fields of a file's declaration as a Markdown table.

    :param model: the declaration.
    """
    rows = ["| field | type | meaning |", "|:--|:--|:--|"]
    for name, info in model.model_fields.items():
        kind = model.__annotations__[name].replace(" | None", " or null")
        rows.append(f"| `{name}` | `{kind}` | {' '.join((info.description or '').split())} |")
    return "\n".join(rows)


def schema() -> str:
    """Return the JSON schema of result.json."""
    return json.dumps(results.Result.model_json_schema(), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write pages and schema."""
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8")), "utf-8")
    SCHEMA.write_text(schema(), "utf-8")


if __name__ == "__main__":
    main()
