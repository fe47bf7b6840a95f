"""What `regard check` finds in the files of a task."""

from __future__ import annotations

from typing import Any

from regard.data.files import Files
from regard.errors import InputError
from regard.tasks.task import Task


def check_files(task: Task, files: Files) -> dict[str, Any]:
    """Counts of each part, all findings, and `exit_code` 2 when one is an error."""
    parts, findings = {}, []
    lines, counts = [], {}
    for split, path in files.items():
        try:
            parts[split], found = task.read(path)
        except InputError as error:
            parts[split] = []
            lines.append(f"error: {error}")
            continue
        findings += found
        counts[split] = {"file": str(path), **task.describe(parts[split])}
        lines.append(
            f"{split:<6} {path}: " + ", ".join(f"{n} {name}" for name, n in counts[split].items() if isinstance(n, int))
        )
    num_unreadable = sum(line.startswith("error") for line in lines)
    findings += task.compare(files, parts)
    num_errors = num_unreadable + sum(finding.level == "error" for finding in findings)
    verdict = "The files can be used." if not num_errors else "Mend the errors, then check again."
    lines += [*map(str, findings), f"{num_errors} errors, {len(findings) + num_unreadable - num_errors} warnings. {verdict}"]
    return {
        "task": task.name,
        "files": counts,
        "findings": [finding.to_json() for finding in findings],
        "num_errors": num_errors,
        "exit_code": 2 if num_errors else 0,
        "lines": lines,
    }
