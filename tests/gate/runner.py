"""GitHub's runner, as far as our files use it: workflows, composite actions, conditions, outputs and the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
OURS = "mimo-eval/mimo-eval@"
PINNED = re.compile(r"[\w/-]+@[0-9a-f]{40}")
EXPRESSION = re.compile(r"\$\{\{ ([\w.-]+)(?: \|\| '([^']*)')? \}\}")
COMPARED = re.compile(r"([\w.-]+) ([!=]=) '([^']*)'")
SHELLS = {"bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"], "": ["bash", "-e", "-c"]}


@dataclass
class Done:
    """What became of some steps."""

    returncode: int = 0
    """Of the first that failed."""
    stderr: str = ""
    """Of all that ran."""
    outputs: dict[str, str] = field(default_factory=dict)
    """Of an action."""
    summary: str = ""
    """What was written to $GITHUB_STEP_SUMMARY."""
    used: list[str] = field(default_factory=list)
    """Actions of others, in order."""


@dataclass
class Runner:
    """A machine of its own for each workflow, but for the cache.

    :param folder: the checkout.
    :param environment: of every step.
    :param github: values of the contexts, such as `github.event.pull_request.base.sha`.
    """

    folder: Path
    environment: Mapping[str, str]
    github: Mapping[str, str] = field(default_factory=dict)
    runs: int = 0

    def action(self, **given: str) -> Done:
        """Run action.yml with some inputs."""
        content = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
        assert not set(given) - set(content["inputs"])
        self.runs += 1
        values = {f"inputs.{name}": str(given.get(name, of.get("default", ""))) for name, of in content["inputs"].items()}
        assert all(f"inputs.{name}" in values for name, of in content["inputs"].items() if of.get("required"))
        done, values = self._steps(content["runs"]["steps"], values, {}, None)
        done.outputs = {name: self._filled(of["value"], values) for name, of in content["outputs"].items()}
        return done

    def workflow(self, path: Path, **changed: str) -> Done:
        """Run every job of a workflow.

        :param path: the file.
        :param changed: inputs of our action that are not as in the file.
        """
        content = yaml.safe_load(path.read_text("utf-8"))
        assert content["permissions"] == {"contents": "read"}
        done = Done()
        for job in content["jobs"].values():
            shell = content.get("defaults", {}).get("run", {}).get("shell", "")
            steps = [{"shell": shell, **step} for step in job["steps"]]
            done, _ = self._steps(steps, dict(self.github), job.get("env", {}), changed)
        return done

    def _steps(
        self, steps: Sequence[dict[str, Any]], values: dict[str, str], env: Mapping[str, str], changed: dict[str, str] | None
    ) -> tuple[Done, dict[str, str]]:
        """Run steps in turn; `changed` is None within an action."""
        done = Done()
        for step in steps:
            if not self._wanted(step.get("if", ""), done.returncode != 0, values):
                continue
            for name, value in self._one(step, values, env, changed, done):
                values[f"steps.{step.get('id')}.outputs.{name}"] = value
        return done, values

    def _one(
        self, step: dict[str, Any], values: dict[str, str], env: Mapping[str, str], changed: dict[str, str] | None, done: Done
    ) -> list[tuple[str, str]]:
        """Run one step; return its outputs."""
        if (uses := step.get("uses", "")).startswith(OURS):
            inner = self.action(**{**{k: self._filled(str(v), values) for k, v in step["with"].items()}, **(changed or {})})
            self._add(done, inner)
            return list(inner.outputs.items())
        if uses:
            assert PINNED.fullmatch(uses), f"{uses}: pin it by its commit"
            done.used.append(uses.split("@")[0])
            if uses.startswith("actions/cache/"):
                self._cache(uses, {k: self._filled(v, values) for k, v in step["with"].items()})
            return []
        assert "${{" not in step["run"], "an input in a script could hold commands; hand it over in the environment"
        files = {name: self.folder / f".{name}" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        given = {**env, **step.get("env", {})}
        env_ = {
            **self.environment,
            "GITHUB_ACTIONS": "true",
            "GITHUB_RUN_ID": str(self.runs),
            "GITHUB_RUN_ATTEMPT": "1",
            "RUNNER_OS": "Linux",
            **{name: self._filled(str(value), values) for name, value in given.items()},
            **{name: str(file) for name, file in files.items()},
        }
        shell = [*SHELLS[step.get("shell", "")], step["run"]]
        ran = subprocess.run(shell, env=env_, cwd=self.folder, capture_output=True, text=True, check=False)
        self._add(done, Done(ran.returncode, ran.stderr, summary=files["GITHUB_STEP_SUMMARY"].read_text("utf-8")))
        lines = files["GITHUB_OUTPUT"].read_text("utf-8").splitlines()
        return [(name, value) for name, _, value in (line.partition("=") for line in lines)]

    def _add(self, done: Done, more: Done) -> None:
        done.returncode = done.returncode or more.returncode
        done.stderr += more.stderr
        done.summary += more.summary
        done.used += more.used

    def _cache(self, uses: str, given: dict[str, str]) -> None:
        """Keep a folder under a key, or fetch the newest one under a prefix."""
        kept = Path(self.environment["RUNNER_TEMP"]) / "kept"
        if "/save@" in uses:
            if Path(given["path"]).exists():  # else a warning
                shutil.copytree(given["path"], kept / given["key"])
            return
        found = sorted(kept.glob(f"{given['restore-keys']}*"), key=os.path.getmtime)
        if found:
            shutil.copytree(found[-1], given["path"], dirs_exist_ok=True)

    def _filled(self, text: str, values: Mapping[str, str]) -> str:
        return EXPRESSION.sub(lambda found: values.get(found[1]) or found[2] or "", text)

    def _wanted(self, condition: str, failed: bool, values: Mapping[str, str]) -> bool:
        parts = [part for part in condition.split(" && ") if part]
        if failed != ("failure()" in parts) and "always()" not in parts:
            return False
        for part in parts:
            if part not in ("always()", "failure()"):
                found = COMPARED.fullmatch(part)
                assert found, f"if: {part}: not understood"
                if (values.get(found[1], "") == found[3]) != (found[2] == "=="):
                    return False
        return True
