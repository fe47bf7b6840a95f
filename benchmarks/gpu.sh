#!/usr/bin/env bash
# All checks that need an NVIDIA GPU, in under 8 minutes: the kernels and every backend against the definition, then timings.
# Run from the root with the package importable (PYTHONPATH=src will do). Results go to benchmarks/results, or to $OUT.
set -uo pipefail
export PYTHONPATH="${PYTHONPATH:-}:src" PYTHONUNBUFFERED=1
python=${PYTHON:-python3}
status=0
$python -m pytest -q --noconftest -n "${WORKERS:-12}" --tb=line --show-capture=no tests/attention/test_kernels.py tests/attention/test_sampling.py tests/attention/test_gpu.py tests/lens/test_gpu_pass.py || status=1
$python benchmarks/attention.py --part pairs --device cuda || status=1
$python benchmarks/attention.py --part grid --device cuda --runs 5 || status=1
$python benchmarks/lens_gpu.py cost || status=1
exit $status
