"""What is wrong in the files of a task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regard.data.files import Files
from regard.data.findings import Finding, brief, counted, num_findings
from regard.data.quality import Labelled, label_counts
from regard.errors import InputError
from regard.tasks.task import Task

MOST_LABELS, MOST_FINDINGS = 30, 100
"""That are printed; --json has the others too."""


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
    labelled = {split: task.labelled(examples) for split, examples in parts.items()}
    num_errors = num_findings(one for one in findings if one.level == "error")
    return {
        "task": task.name,
        "files": counts,
        "findings": [one for finding in findings for one in finding.listed()],
        "num_errors": num_errors,
        "exit_code": 2 if num_errors else 0,
        "lines": [
            *_sizes(counts, labelled),
            *_label_table({split: label_counts(sentences) for split, sentences in labelled.items()}),
            *_told(findings),
            _verdict(num_errors, num_findings(findings) - num_errors, files),
        ],
    }


def _sizes(counts: dict[str, dict[str, Any]], labelled: dict[str, list[Labelled]]) -> list[str]:
    """What each part holds, a row a part, and a blank line."""
    rows = []
    for split, known in counts.items():
        row = {"": split} | {name: f"{number:,}" for name, number in known.items() if isinstance(number, int)}
        if any(labelled.values()):
            lengths = [len(one.tokens) for one in labelled[split]]
            mean = sum(lengths) / max(1, len(lengths))
            row |= {"mean length": f"{mean:.1f}", "longest": f"{max(lengths, default=0):,}"}
        rows.append(row | {"file": known["file"]})
    return [*_aligned([[*rows[0]], *([*row.values()] for row in rows)], is_last_text=True), ""]


def _label_table(counts: dict[str, Counter[str]]) -> list[str]:
    """How often each label stands in each part, the most frequent first, and a blank line."""
    total = sum(counts.values(), Counter[str]())
    if not total:
        return []
    labels = [label for label, _ in total.most_common(MOST_LABELS)]
    rows = [[brief(label), *(f"{counts[split][label]:,}" for split in counts)] for label in labels]
    more = [f"and {counted(len(total) - len(labels), 'label')} more"] if len(total) > len(labels) else []
    return [*_aligned([["label", *counts], *rows]), *more, ""]


def _aligned(rows: Sequence[Sequence[str]], *, is_last_text: bool = False) -> list[str]:
    """Names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join([*cells[:-1], row[-1]] if is_last_text else cells))
    return lines


def _told(findings: Sequence[Finding]) -> list[str]:
    """Errors first, then warnings; a blank line where there is one."""
    ordered = sorted(findings, key=lambda finding: finding.level)
    more = num_findings(ordered[MOST_FINDINGS:])
    rest = [f"… and {more:,} more; --json lists them."] if more else []
    return [*map(str, ordered[:MOST_FINDINGS]), *rest, *([""] if ordered else [])]


def _verdict(num_errors: int, num_warnings: int, files: Files) -> str:
    found = f"{counted(num_errors, 'error')}, {counted(num_warnings, 'warning')}."
    if num_errors:
        return f"{found} Mend the errors, then check again."
    if files.train is None:
        return f"{found} The files can be used to score a model; to train one needs a train file."
    return f"{found} The files can be used."


def _read(task: Task, path: Path) -> tuple[list[Any], list[Finding]]:
    try:
        return task.read(path)
    except InputError as error:
        return [], [Finding("error", Path(error.file or path), error.line, error.message)]
