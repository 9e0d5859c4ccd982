"""A blend with profiles, for plans."""

from pathlib import Path

import pytest

from tests.cluster.capacity.sites import BLEND, furnished


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with the blend and the profiles of its components."""
    return furnished(tmp_path, BLEND)
