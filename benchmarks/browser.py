"""A headless Chromium, driven over a pipe by the DevTools protocol: no package is needed for it."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""The browser's program, None where none is installed."""
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
AS_3_AND_4 = """
import os, sys
for end, wanted in zip(sys.argv[1:3], (3, 4)):
    os.dup2(int(end), wanted)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Becomes the browser, which reads from 3 and writes to 4."""
KEYS = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "Tab": 9, " ": 32, "End": 35}


class Page:
    """The one tab of a browser.

    Args:
        write, read: the ends of the browser's pipes.
    """

    def __init__(self, write: BinaryIO, read: BinaryIO) -> None:
        self._write, self._read = write, read
        self._last, self._session = 0, ""
        self.errors: list[str] = []
        self.asked: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **given: Any) -> dict[str, Any]:
        """Ask the browser, and wait for its answer; errors and requests of the page are noted meanwhile."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": given}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        self._write.flush()
        while (told := self._hear()).get("id") != self._last:
            self._note(told)
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']['message']}")
        result: dict[str, Any] = told["result"]
        return result

    def open(self, address: str, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a page anew and wait until all of it is there."""
        self.errors, self.asked = [], []
        self.size(width, height)
        self.media(dark)
        self.send("Page.navigate", url="about:blank")
        self._wait("Page.loadEventFired")
        self.send("Page.navigate", url=address)
        self._wait("Page.loadEventFired")

    def size(self, width: int, height: int = 900) -> None:
        """Let the window have so many CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def media(self, dark: bool = False, medium: str = "") -> None:
        """Light or dark; `medium` "print" for paper."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=medium, features=[scheme])

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        told = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            details = told["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return told["result"].get("value")

    def press(self, *keys: str) -> None:
        """Press keys by their names, such as Tab, Enter and ArrowRight."""
        for key in keys:
            text = {"Enter": "\r", " ": " "}.get(key, "")
            given = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": KEYS[key]}
            self.send("Input.dispatchKeyEvent", type="keyDown", **given, **({"text": text} if text else {}))
            self.send("Input.dispatchKeyEvent", type="keyUp", **given)

    def type(self, text: str) -> None:
        """Write text where the focus is."""
        self.send("Input.insertText", text=text)

    def picture(self, path: Path, whole: bool = False) -> Path:
        """Save what is seen, or the whole page, as PNG."""
        clip = {}
        if whole:
            size = self.send("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"clip": {**size, "scale": 1}, "captureBeyondViewport": True}
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png", **clip)["data"]))
        return path

    def _wait(self, event: str) -> None:
        while (told := self._hear()).get("method") != event:
            self._note(told)

    def _hear(self) -> dict[str, Any]:
        told = bytearray()
        while (byte := self._read.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser has ended")
            told += byte
        heard: dict[str, Any] = json.loads(told)
        return heard

    def _note(self, told: dict[str, Any]) -> None:
        given = told.get("params", {})
        if told.get("method") == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        if told.get("method") == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.errors.append(given["entry"]["text"])
        if told.get("method") == "Network.requestWillBeSent":
            self.asked.append(given["request"]["url"])


@contextmanager
def browser(program: str | None = CHROMIUM) -> Iterator[Page]:
    """A headless Chromium with one tab, which ends with the block.

    Raises:
        FileNotFoundError: no Chromium is installed.
    """
    if program is None:
        raise FileNotFoundError("no Chromium is installed; on Debian: apt-get install chromium")
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        theirs, ours = _pipe(), _pipe()
        command = [sys.executable, "-c", AS_3_AND_4, str(theirs[0]), str(ours[1]), program, *FLAGS]
        process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}"],
            pass_fds=(theirs[0], ours[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs[0])
        os.close(ours[1])
        with os.fdopen(theirs[1], "wb") as write, os.fdopen(ours[0], "rb") as read:
            try:
                yield Page(write, read)
            finally:
                with suppress(OSError):
                    write.write(json.dumps({"id": 0, "method": "Browser.close"}).encode() + b"\0")
                    write.flush()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are none of the numbers that the browser uses."""
    read, write = os.pipe()
    ends = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (read, write))
    os.close(read)
    os.close(write)
    return ends[0], ends[1]
