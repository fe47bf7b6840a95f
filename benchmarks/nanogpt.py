"""How low does the loss on tiny Shakespeare get in the time that nanoGPT takes for its CPU recipe?

    python benchmarks/nanogpt.py NANOGPT_FOLDER DATA_FOLDER [--seeds 0 1 2]

nanoGPT's own train.py runs first, with the options that its README has for a CPU: 4 layers of 128, a context of 64, 2,000
steps. Its wall time, without that of its start, is what `regard train generate --recipe generate_tinyshakespeare` then gets,
for each seed on the same machine. DATA_FOLDER has train.txt and dev.txt; nanoGPT gets both as one, cut where its own script
cuts (it needs `pip install requests tiktoken`). Its dev loss is an estimate over 20 batches drawn at random, so it is taken
again over all of dev, from its checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from common import regard, spread, write

OPTIONS = {
    "device": "cpu",
    "compile": "False",
    "eval_iters": 20,
    "log_interval": 100,
    "block_size": 64,
    "batch_size": 12,
    "n_layer": 4,
    "n_head": 4,
    "n_embd": 128,
    "max_iters": 2000,
    "lr_decay_iters": 2000,
    "dropout": 0.0,
}
DEV = """
import pickle, sys, numpy as np, torch
sys.path.insert(0, ".")
from model import GPT, GPTConfig
kept = torch.load("out-shakespeare-char/ckpt.pt", map_location="cpu", weights_only=False)
model = GPT(GPTConfig(**kept["model_args"]))
model.load_state_dict(kept["model"])
model.eval()
data = torch.from_numpy(np.fromfile("data/shakespeare_char/val.bin", dtype=np.uint16).astype(np.int64))
size, total, count = kept["model_args"]["block_size"], 0.0, 0
with torch.no_grad():
    for start in range(0, len(data) - 1, size):
        x, y = data[start : start + size][None], data[start + 1 : start + size + 1][None]
        loss = model(x[:, : y.shape[1]], y)[1]
        total, count = total + float(loss) * y.shape[1], count + y.shape[1]
print(total / count)
"""


def peer(folder: Path, data: Path) -> dict[str, Any]:
    """nanoGPT's seconds and dev losses. Its checkpoint is its own, made a moment ago."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "nanogpt"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".git"))
        given = copy / "data" / "shakespeare_char"
        (given / "input.txt").write_text("".join((data / f"{split}.txt").read_text() for split in ("train", "dev")))
        subprocess.run([sys.executable, "prepare.py"], cwd=given, check=True, stdout=subprocess.DEVNULL)
        named = [f"--{name}={value}" for name, value in OPTIONS.items()]
        command = [sys.executable, "-u", "train.py", "config/train_shakespeare_char.py", *named]
        start, said = 0.0, []
        with subprocess.Popen(command, cwd=copy, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                said.append(line)
                start = start or (time.perf_counter() if line.startswith("step 0") else 0.0)
            seconds = time.perf_counter() - start
        if process.returncode:
            raise SystemExit("".join(said))
        (estimate,) = re.findall(r"step 2000: .*val loss ([\d.]+)", "".join(said))
        whole = subprocess.run([sys.executable, "-c", DEV], cwd=copy, check=True, stdout=subprocess.PIPE, text=True).stdout
        loss = float(whole.split()[-1])
        return {"seconds": round(seconds, 1), "dev_loss_nats": loss, "dev_loss_nats_estimated": float(estimate)}


def ours(data: Path, minutes: float, seed: int) -> dict[str, Any]:
    """One training of ours."""
    with tempfile.TemporaryDirectory() as run:
        given = ["--data", str(data), "--recipe", "generate_tinyshakespeare", "--max-minutes", f"{minutes:.3f}"]
        result, _ = regard("train", "generate", *given, "--seed", str(seed), "--out", str(Path(run) / "run"))
    return {"seed": seed, **{key: result[key] for key in ("loss_nats", "train_seconds", "parameters", "peak_memory_mb")}}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nanogpt", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    theirs = peer(options.nanogpt.resolve(), options.data)
    runs = [ours(options.data, theirs["seconds"] / 60, seed) for seed in options.seeds]
    found = {
        "nanogpt": theirs,
        "threads": int(os.environ.get("OMP_NUM_THREADS") or torch.get_num_threads()),
        "loss_nats": spread([run["loss_nats"] for run in runs]),
        "train_seconds": spread([run["train_seconds"] for run in runs]),
        "runs": runs,
    }
    write("nanogpt", found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
