"""A real `nom serve` for tests: started, listened to, called, stopped."""

import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

PATIENCE_S = 600
"""How long anything may take before the test is given up; never a measure of speed.

A first start compiles the optimizer, which takes a minute, and more on a busy machine.
"""


class Service:
    """One `nom serve` on a free port, whose output is read as it comes."""

    def __init__(self, nom: Path, home: Path, *arguments: str, **environ: str) -> None:
        """Start it with its data in `home`, and wait until it says where it is."""
        self.home = home
        self.output = ""
        self.grown = threading.Condition()
        self.ended = False
        self.process = subprocess.Popen(
            [nom, "serve", "--port=0", *arguments],
            cwd=home,
            env={**os.environ, "NOM_HOME": str(home), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self.read, daemon=True).start()
        try:
            self.address = self.wait_for(r"service +(http://\S+)").group(1)
        except BaseException:
            self.stop()
            raise

    def read(self) -> None:
        """Collect the output until it ends."""
        if self.process.stdout is None:
            raise RuntimeError("the output of the service is not connected")
        with self.process.stdout as lines:
            for line in lines:
                with self.grown:
                    self.output += line
                    self.grown.notify_all()
        with self.grown:
            self.ended = True
            self.grown.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until the output matches; raises RuntimeError when it ends or takes too long."""
        with self.grown:
            self.grown.wait_for(lambda: re.search(pattern, self.output) or self.ended, PATIENCE_S)
            found = re.search(pattern, self.output)
        if found is None:
            raise RuntimeError(f"no {pattern!r} in:\n{self.output}")
        return found

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal, unless it has ended, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        with self.grown:
            self.grown.wait_for(lambda: self.ended, PATIENCE_S)
        return code

    def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Send one request; return the status, and the answer decoded if it is JSON."""
        request = urllib.request.Request(
            self.address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return response.status, decoded(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, decoded(error)


def decoded(response: HTTPResponse | urllib.error.HTTPError) -> Any:
    """Return the body of an answer: decoded if it is JSON, else as text."""
    text = response.read().decode()
    is_json = "json" in response.headers.get("Content-Type", "")
    return json.loads(text) if is_json else text


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Yield a folder for one service; pytest's own are closed to the database's account of root."""
    with tempfile.TemporaryDirectory(prefix="nom-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def running_service(nom: Path, home: Path, *arguments: str, **environ: str) -> Iterator[Service]:
    """Yield a running service, which ends with the body."""
    service = Service(nom, home, *arguments, **environ)
    try:
        yield service
    finally:
        service.stop()
