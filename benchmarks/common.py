"""What every result file says beside its figures: machine, versions, commit, time."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(os.environ.get("OUT", Path(__file__).parent / "results"))


def surroundings() -> dict[str, Any]:
    """Where and with what the figures were measured."""
    return {
        "machine": f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {platform.system()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "lightning", "numpy", "triton") if _is_installed(name)},
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain", "src") else ""),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def write(name: str, result: dict[str, Any]) -> Path:
    """Put a result beside the others, whole or not at all."""
    path = RESULTS / f"{name}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(surroundings() | result, indent=1, ensure_ascii=False) + "\n", encoding="utf8")
    part.replace(path)
    return path


def train_step(model: Any, optimizer: Any, loss_of: Callable[[], Any], precision: str) -> None:
    """Forward, backward and a step on a CPU, as `regard train` does them."""
    import torch

    from regard.models.precision import autocast

    with autocast(precision, torch.device("cpu")):
        loss = loss_of()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def regard(*arguments: str) -> tuple[dict[str, Any], str]:
    """The result object of a command line, and all it printed."""
    command = [sys.executable, "-m", "regard.cli", *arguments, "--json"]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(printed.strip().split("\n")[-1]), printed


def _is_installed(name: str) -> bool:
    return find_spec(name) is not None


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=Path(__file__).parent).stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor() or platform.machine()
