"""`blended chat` on a real terminal, in front of a router: keys, words and a response's end."""

import asyncio
import codecs
import os
import pty
import re
import struct
import sys
import termios
from fcntl import ioctl
from pathlib import Path

from tests.loadtests.locust_runs import paced
from tests.support import CLIENT_KEY, blend, rig

COLUMNS = 60
# Longer than a busy machine needs.
PATIENT_S = 90
UP, END = b"\x1b[A", b"\x03"


class Terminal:
    """A terminal of 60 columns with a program in it."""

    def __init__(self, folder: Path, url: str, key: str) -> None:
        self._folder, self._url, self._key = folder, url, key
        self.text, self._news = "", asyncio.Event()
        self._cut, self._decoder = "", codecs.getincrementaldecoder("utf-8")()

    async def __aenter__(self) -> "Terminal":
        self._own, its = pty.openpty()
        ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        env = {"BLENDED_STATE_DIR": str(self._folder), "TERM": "xterm"}
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "blended", "chat", "--url", self._url),
            env=os.environ | env | {"BLENDED_API_KEY": self._key},
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(its)
        asyncio.get_running_loop().add_reader(self._own, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        asyncio.get_running_loop().remove_reader(self._own)
        os.close(self._own)

    def press(self, keys: bytes) -> None:
        """Press keys, whatever the program does."""
        os.write(self._own, keys)

    async def type(self, keys: bytes) -> None:
        """Type behind the next prompt."""
        await self.shows("you  ")
        self.press(keys)

    async def shows(self, text: str) -> None:
        """Wait until the terminal has shown it, and look on from there."""
        async with asyncio.timeout(PATIENT_S):
            while text not in self.text:
                self._news.clear()
                await self._news.wait()
        self.text = self.text.partition(text)[2]

    async def press_until(self, keys: bytes, text: str) -> None:
        """Press keys again and again until the terminal has shown a text.

        Python loses an interrupt that comes while an object is removed.
        """
        async with asyncio.timeout(PATIENT_S):
            while text not in self.text:
                self.press(keys)
                await asyncio.sleep(0.5)
        await self.shows(text)

    def _read(self) -> None:
        try:
            read = os.read(self._own, 65536)
        except OSError:
            asyncio.get_running_loop().remove_reader(self._own)
            return
        text = self._cut + self._decoder.decode(read)
        # A read may end within a control sequence, or within the end of a line.
        whole = re.sub(r"(\r|\x1b(\[[0-9;?]*)?)$", "", text)
        self._cut = text[len(whole) :]
        self.text += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", whole).replace("\r\n", "\n")
        self._news.set()


async def test_ctrl_c_ends_the_response_and_not_the_program(tmp_path: Path) -> None:
    """The part that was read stays in the history; the next line is answered."""
    async with (
        rig(paced(tokens=10_000)) as front,
        Terminal(tmp_path, front.url, CLIENT_KEY) as terminal,
    ):
        await terminal.shows("Ctrl-C ends a response")
        await terminal.type(b"hello\r")
        await terminal.shows("simulated simulated")
        await terminal.press_until(END, "ended by you")
        await terminal.type(b"/help\r")
        await terminal.shows("/model NAME")
        await terminal.type(END)
        await terminal.shows("Ctrl-C ends a response")
        await terminal.type(b"/quit\r")
        assert await asyncio.wait_for(terminal.process.wait(), PATIENT_S) == 0


async def test_lines_can_be_edited_and_recalled_and_words_are_whole(tmp_path: Path) -> None:
    """The arrow brings the line before back; lines of the response end between words."""
    async with (
        rig(paced(tokens=40, itl_ms=0)) as front,
        Terminal(tmp_path, front.url, CLIENT_KEY) as terminal,
    ):
        await terminal.shows("/quit")
        await terminal.type(b"helo\x1b[Dl\r")
        await terminal.shows("\n" + " ".join(["simulated"] * 6) + "\n")
        await terminal.shows("tokens, first after")
        await terminal.type(UP + b"\r")
        await terminal.shows("hello")
        await terminal.shows("tokens, first after")
        await terminal.type(b"\x04")
        assert await asyncio.wait_for(terminal.process.wait(), PATIENT_S) == 0

    assert [record.turn for record in front.records] == [1, 2]


async def test_a_wrong_key_is_said_with_its_variable(tmp_path: Path) -> None:
    """As in a second terminal, where the variable is not set."""
    async with (
        rig(blend("a")) as front,
        Terminal(tmp_path, front.url, "wrong") as terminal,
    ):
        await terminal.shows("answered 401")
        await terminal.shows("BLENDED_API_KEY")
        assert await asyncio.wait_for(terminal.process.wait(), PATIENT_S) == 1
