"""Compile a C file of this folder once, with the compiler of the machine it runs on."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from importlib.resources import files
from pathlib import Path

from regard.places import cache_folder

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fPIC", "-shared")


class NoCompiler(Exception):
    """Why a C file cannot be compiled here."""


@cache
def library(name: str) -> ctypes.CDLL:
    """The compiled form of `name`.c; told on standard error when it has to be made, which takes a second.

    Kept in the user's cache folder, under a name made of the source, the compiler and the processor. Raises NoCompiler.
    """
    source = files("regard.lens.kernels").joinpath(f"{name}.c").read_bytes()
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler or not shutil.which(compiler):
        raise NoCompiler("there is no C compiler (cc, gcc or clang) on the path; install one, or name it in CC")
    place = cache_folder() / f"{name}-{_digest(source, compiler)}.so"
    if not place.exists():
        _compile(source, compiler, place)
    return ctypes.CDLL(str(place))


def _digest(source: bytes, compiler: str) -> str:
    parts = [source, compiler.encode(), " ".join(FLAGS).encode(), platform.machine().encode(), _processor()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _processor() -> bytes:
    """What the processor can do: a folder may be shared by machines that differ."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return platform.processor().encode()
    return b"".join(line for line in lines[:40] if line.startswith((b"flags", b"Features", b"model name")))


def _compile(source: bytes, compiler: str, place: Path) -> None:
    """Under another name first, so that whoever compiles at the same time finds whole files only."""
    start = time.perf_counter()
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=place.parent) as folder:
            code, made = Path(folder) / "source.c", Path(folder) / "made.so"
            code.write_bytes(source)
            subprocess.run([compiler, *FLAGS, "-o", made, code, "-lm"], check=True, capture_output=True, text=True, timeout=120)
            made.replace(place)
    except subprocess.SubprocessError as fault:
        raise NoCompiler(f"{compiler} failed: {(getattr(fault, 'stderr', '') or str(fault)).strip()[-300:]}") from fault
    except OSError as fault:
        raise NoCompiler(f"nothing can be written to {place.parent} ({fault}); name another folder in REGARD_CACHE") from fault
    seconds = time.perf_counter() - start
    print(f"regard: compiled the CPU pass of the lens in {seconds:.1f} s, kept in {place.parent}", file=sys.stderr)
