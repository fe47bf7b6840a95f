"""What is wrong in the files of a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regard.data.files import Files
from regard.data.findings import Finding
from regard.data.quality import summary_table
from regard.errors import InputError
from regard.tasks.task import Task


def read_all(task: Task, files: Files) -> tuple[dict[str, list[Any]], list[Finding]]:
    """All parts, and what is wrong with them; where each can be read, also what is wrong between them."""
    parts: dict[str, list[Any]] = {}
    findings: list[Finding] = []
    for split, path in files.items():
        parts[split], found = _read(task, path)
        findings += found
    if not any(finding.level == "error" for finding in findings):
        findings += task.compare(files, parts)
    return parts, findings


def check_files(task: Task, files: Files) -> dict[str, Any]:
    """Counts of each part, all findings, and `exit_code` 2 when one is an error."""
    parts, findings = read_all(task, files)
    counts = {split: {"file": str(path), **task.describe(parts[split])} for split, path in files.items()}
    lines = [
        f"{split:<6} {path}: " + ", ".join(f"{n:,} {name}" for name, n in counts[split].items() if isinstance(n, int))
        for split, path in files.items()
    ]
    labelled = {split: task.labelled(examples) for split, examples in parts.items()}
    if any(labelled.values()):
        lines += ["", *summary_table(labelled), ""]
    num_errors = sum(finding.level == "error" for finding in findings)
    verdict = "The files can be used." if not num_errors else "Mend the errors, then check again."
    lines += [*map(str, findings), f"{num_errors} errors, {len(findings) - num_errors} warnings. {verdict}"]
    return {
        "task": task.name,
        "files": counts,
        "findings": [finding.to_json() for finding in findings],
        "num_errors": num_errors,
        "exit_code": 2 if num_errors else 0,
        "lines": lines,
    }


def _read(task: Task, path: Path) -> tuple[list[Any], list[Finding]]:
    try:
        return task.read(path)
    except InputError as error:
        return [], [Finding("error", path, error.line, error.message)]
