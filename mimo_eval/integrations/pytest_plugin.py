"""Retrieval quality as a test: a fixture that evaluates a model, and a gate against a baseline.

    @pytest.mark.retrieval(benchmark="mini", policy="gate.yaml")
    def test_no_language_got_worse(retrieval):
        retrieval(MyModel()).check()

`pytest --mimo-baseline DIR` says where the baselines lie; `--mimo-update-baseline` writes them. Importing this module imports
nothing else of the package, for every run of pytest does so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mimo_eval.gate import Policy, Verdict
    from mimo_eval.results import Result

OPTIONS = {"benchmark", "policy", "data", "baseline", "output", "languages", "mixes", "measures", "depth"}
"""What the marker and the fixture take by name."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("mimo-eval", "quality of retrieval")
    group.addoption("--mimo-baseline", metavar="DIR", type=Path, help="folder of baselines: DIR/BENCHMARK/MODEL")
    group.addoption("--mimo-update-baseline", action="store_true", help="write baselines instead of checking against them")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse options that do not fit together."""
    config.addinivalue_line("markers", f"retrieval({', '.join(sorted(OPTIONS))}): defaults of the `retrieval` fixture")
    if config.getoption("--mimo-update-baseline"):
        from mimo_eval.environment import in_ci

        if config.getoption("--mimo-baseline") is None:
            raise pytest.UsageError("--mimo-update-baseline needs --mimo-baseline DIR")
        if in_ci():
            raise pytest.UsageError("a baseline is changed by hand, never in CI ($CI is set)")


FOUND = "mimo-eval"
"""Name of the test's property that says what was found: reports carry it, also from the workers of pytest-xdist."""


@dataclass(frozen=True)
class Evaluated:
    """A result, and the gate that it can be held against."""

    result: Result
    folder: Path
    """Where the result lies."""
    _baselines: Path | None = field(repr=False)
    _policy: Policy = field(repr=False)
    _update: bool = field(repr=False)
    _properties: list[tuple[str, object]] = field(repr=False)

    def score(self, measure: str, *, setting: str = "mlir", language: str | None = None) -> float:
        """Return a score.

        :param measure: such as `nDCG@20`.
        :param setting: name of a setting, or a mix.
        :param language: of the queries; None for the setting's mean.
        :return: the score.
        """
        for found in self.result.settings:
            if setting not in (found.setting, found.mix):
                continue
            cells = [pool.scores[language].get(measure) for pool in found.pools if language in pool.scores] if language else []
            values = [cell for cell in cells if cell is not None]
            value = sum(values) / len(values) if values else None if language else found.scores.get(measure)
            if value is not None:
                return value
        where = f"{setting} {language}" if language else setting
        pytest.fail(f"{self.result.model['name']} has no {measure} in {where}; see {self.folder}", pytrace=False)

    def check(self) -> Verdict | None:
        """Fail the test if the result is worse than its baseline.

        Without `--mimo-baseline` the test is skipped, for nothing was checked; with it a missing baseline fails.

        :return: the verdict; None if the baseline was written instead.
        """
        from mimo_eval.errors import MimoEvalError
        from mimo_eval.gate import check, write_baseline

        name = f"{self.result.model['name']} on {self.result.benchmark['name']}"
        if self._baselines is None:
            pytest.skip("no baseline to check against: give --mimo-baseline DIR")
        # results/BENCHMARK/MODEL/KEY: a baseline lies under the same names
        folder = self._baselines / self.folder.parent.parent.name / self.folder.parent.name
        if self._update:
            write_baseline(self.folder, folder, self._policy)
            self._properties.append((FOUND, f"{name}: baseline written to {folder}"))
            return None
        try:
            verdict = check(self.folder, folder, self._policy)
        except MimoEvalError as error:
            self._properties.append((FOUND, f"{name}: not checked"))
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        failed = len(verdict.failures)
        said = f"{name}: {f'{failed} failed' if failed else 'passed'} ({len(verdict.tested)} tests)"
        self._properties.append((FOUND, said))
        if failed:
            pytest.fail("\n".join([f"{name} got worse:", *verdict.failures]), pytrace=False)
        return verdict


@pytest.fixture
def retrieval(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return a function that evaluates a model: `retrieval(model, benchmark="mini", **options) -> Evaluated`.

    Options are those of the marker: benchmark, policy (a file), data, output (folder of results), baseline (instead of
    `--mimo-baseline`), languages, mixes, measures, depth.
    """
    marker = request.node.get_closest_marker("retrieval")
    defaults = dict(marker.kwargs) if marker else {}
    if wrong := (set(defaults) - OPTIONS) | {repr(value) for value in (marker.args if marker else ())}:
        raise pytest.UsageError(f"retrieval marker: unknown {', '.join(sorted(wrong))}; it takes {', '.join(sorted(OPTIONS))}")

    def evaluate(model: Any, benchmark: Any = None, **options: Any) -> Evaluated:
        from mimo_eval import evaluation
        from mimo_eval.benchmark import changed, load_benchmark
        from mimo_eval.errors import MimoEvalError
        from mimo_eval.gate import load_policy

        given = {**defaults, **options, **({} if benchmark is None else {"benchmark": benchmark})}
        chosen, policy, baseline = given.pop("benchmark", "mini"), given.pop("policy", None), given.pop("baseline", None)
        data, output = given.pop("data", None), given.pop("output", None)
        config = request.config
        try:
            rules = load_policy(Path(policy) if policy else None)
            chosen = changed(load_benchmark(chosen) if isinstance(chosen, str) else chosen, **given)
            outcome = evaluation.run(
                model, chosen, data=Path(data) if data else None, output=Path(output) if output else tmp_path / "results"
            )
        except MimoEvalError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        baselines = Path(baseline) if baseline else config.getoption("--mimo-baseline")
        update = bool(config.getoption("--mimo-update-baseline"))
        assert outcome.folder is not None  # for an output is given
        return Evaluated(outcome.result, outcome.folder, baselines, rules, update, request.node.user_properties)

    return evaluate


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was checked."""
    reports = [report for of in terminalreporter.stats.values() for report in of if getattr(report, "when", None) == "call"]
    if found := [said for report in reports for name, said in report.user_properties if name == FOUND]:
        terminalreporter.section("retrieval")
        for line in found:
            terminalreporter.line(line)
