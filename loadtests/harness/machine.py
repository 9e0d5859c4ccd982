"""The machine and the software under it, as the committed results name them."""

import os
import platform
from pathlib import Path

import psutil


def machine() -> dict[str, str | int | float]:
    """CPU model, cores, memory in GiB, kernel and Python."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
