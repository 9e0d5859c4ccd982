"""A router with a journal in a process of its own, to be killed: prints its address."""

import asyncio
import sys
from pathlib import Path

from tests.journal.journals import journal
from tests.support import blend, rig


async def main(folder: Path) -> None:
    """Serve until killed."""
    with journal(folder) as kept:
        async with rig(blend("a", "b"), kept) as r:
            print(r.url, flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
