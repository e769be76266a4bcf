# SPDX-License-Identifier: MIT
"""The engine's own process: reads commands on its main thread, so that a cancel gets through."""

import argparse
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rigpanel.engine.environment import prepare_environment
from rigpanel.engine.events import Alive, Event, Quit, decode, encode

if TYPE_CHECKING:
    from rigpanel.engine.worker import EngineWorker

GOODBYE_S = 3.0
BEAT_S = 1.0


def main() -> None:
    """Serve commands from the socket given by `--fd` until it says quit; end when it closes."""
    parser = argparse.ArgumentParser(prog="rigpanel-engine")
    parser.add_argument("--fd", type=int, required=True)
    connection = socket.socket(fileno=parser.parse_args().fd)
    prepare_environment(os.environ)
    from rigpanel.engine.worker import EngineWorker

    sending = threading.Lock()

    def emit(event: Event) -> None:
        try:
            with sending:
                connection.sendall(encode(event))
        except OSError:
            os._exit(0)  # The panel is gone; nobody is left to work for.

    def echo(line: str) -> None:
        sys.stderr.write(line + "\n")  # What the panel tells as the last words, should we die.
        sys.stderr.flush()

    worker = EngineWorker(emit, echo)
    worker.start()
    threading.Thread(target=_beat, args=(worker, emit), name="heartbeat", daemon=True).start()
    with connection.makefile("rb") as commands:
        for line in commands:
            command = decode(line)
            if isinstance(command, Quit):
                worker.stop(GOODBYE_S)
                break
            worker.post(command)
    sys.stderr.flush()
    os._exit(0)  # Frees everything at once; llama.cpp's own teardown may hang on a sick card.


def _beat(worker: "EngineWorker", emit: Callable[[Event], None]) -> None:
    """Tell each second that the process lives, and how long llama.cpp has shown no sign of it."""
    while True:
        time.sleep(BEAT_S)
        idle_s = worker.idle_s
        if idle_s is not None:
            emit(Alive(idle_s))


if __name__ == "__main__":
    main()
