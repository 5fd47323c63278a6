"""What CI says of the packages that are required: their licences, and that an audit without an answer is no good one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / ".ci" / "dependencies.py"
FAKE = """
import json, sys
from pathlib import Path
answer = {answer}
if answer is None:
    sys.exit("Traceback ...\\nConnectionError: the service cannot be reached")
Path(sys.argv[sys.argv.index("--output") + 1]).write_text(json.dumps({{"dependencies": answer}}))
"""


def run(command: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    return subprocess.run([sys.executable, str(SCRIPT), command], capture_output=True, text=True, env=env, timeout=240)


def test_the_licences_of_all_that_is_required_are_allowed() -> None:
    done = run("licences")
    assert done.returncode == 0, done.stderr
    assert "click " in done.stdout and "torch " in done.stdout and "NOT ALLOWED" not in done.stdout


GOOD = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ([GOOD], 0, "1 packages looked at, 0 with known vulnerabilities"),
        ([GOOD, BAD], 1, "b 2: CVE-1, mended in 3"),
        ([GOOD, UNKNOWN], 2, "1 packages are not known"),
        ([BAD, UNKNOWN], 1, "b 2: CVE-1"),
        (None, 2, "the audit could not be made: ConnectionError: the service cannot be reached"),
    ],
)
def test_an_audit_without_an_answer_is_no_good_one(tmp_path: Path, answer: object, code: int, said: str) -> None:
    (tmp_path / "pip_audit.py").write_text(FAKE.format(answer=json.loads(json.dumps(answer))))
    done = run("audit", tmp_path)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
