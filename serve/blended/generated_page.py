"""The command line of a module that writes a page of docs/ from code."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def run(module: str, path: Path, page: str, arguments: Sequence[str] | None) -> int:
    """Write the page, or with `--check` compare it; 1 if it is not up to date."""
    command = f"python -m {module}"
    parser = argparse.ArgumentParser(prog=command, description=f"Write {path} from code.")
    parser.add_argument("--check", action="store_true", help="only compare it")
    if not parser.parse_args(arguments).check:
        path.write_text(page)
    elif path.read_text() != page:
        print(f"{path} is not up to date; run {command}", file=sys.stderr)
        return 1
    return 0
