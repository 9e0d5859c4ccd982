"""`blended check` on a file that is wrong."""

import sys

import pytest

from blended.cli.main import main


def check(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What `blended check` says of a file that is wrong."""
    before, sys.argv = sys.argv, ["blended", "check", *arguments]
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv = before
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said
