# SPDX-License-Identifier: MIT
"""Asks a server for models and fetches them, each on a thread that does not hold up the end."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal, SignalInstance

from rigpanel.errors import RigpanelError
from rigpanel.library.download import DownloadCancelledError, Hub, RemoteModel, TokenFrom
from rigpanel.ui.panes.load.outside import MakeHub

log = logging.getLogger(__name__)

TELL_S = 0.2
"""Progress is told this often."""
SITE = "huggingface.co/"


@dataclass(frozen=True, slots=True)
class Listed:
    """What a server has: names of repositories, or the models of one; or a sentence why not."""

    repos: tuple[str, ...] = ()
    models: tuple[RemoteModel, ...] = ()
    repo: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is, in bytes."""

    model: RemoteModel
    done: int
    whole: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A download is over: with the path of its first file, stopped, or with what went wrong."""

    model: RemoteModel
    path: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TokenTold:
    """Where the access token comes from, for which server, and what went wrong with it."""

    token_from: TokenFrom = TokenFrom.NOWHERE
    server: str = ""
    problem: str = ""


def repository_in(text: str) -> str:
    """Return the OWNER/NAME in what was typed or pasted; empty where it is words to search for."""
    text = text.strip()
    _before, site, path = text.partition(SITE)
    parts = (path if site else text).split("?")[0].strip("/").split("/")
    if " " in text or len(parts) < 2 or not all(parts[:2]) or (not site and len(parts) > 2):
        return ""
    return "/".join(parts[:2])


class DownloadWork(QObject):
    """One server; several downloads may be under way."""

    listed = Signal(object)
    """A Listed."""
    progressed = Signal(object)
    """A Progress."""
    ended = Signal(object)
    """An Ended."""
    token_told = Signal(object)
    """A TokenTold."""

    def __init__(self, make_hub: MakeHub, parent: QObject) -> None:
        super().__init__(parent)
        self._make_hub = make_hub
        self._made = threading.Lock()
        self._hub: Hub | None = None
        self._asked = 0
        self._stops: dict[RemoteModel, threading.Event] = {}

    def ask(self, text: str) -> None:
        """List a repository's models, or search for repositories; only the last is answered."""
        self._asked += 1
        self._do(self._list, self._asked, text)

    def fetch(self, model: RemoteModel) -> None:
        """Begin a download, or go on with it."""
        stop = self._stops[model] = threading.Event()
        self._do(self._fetch, model, stop)

    def stop(self, model: RemoteModel) -> None:
        """Pause a download; what has come stays."""
        if model in self._stops:
            self._stops[model].set()

    def forget(self, model: RemoteModel) -> None:
        """Take away what has come of a download that does not run."""
        if self._hub is not None:
            self._do(self._hub.forget, model)

    def tell_token(self) -> None:
        """Tell where the access token comes from."""
        self._do(self._with_token, lambda _hub: None)

    def keep_token(self, token: str) -> None:
        """Keep an access token for the server, and use it from now on."""
        self._do(self._with_token, lambda hub: hub.keep_token(token))

    def forget_token(self) -> None:
        """Forget the access token that is kept for the server."""
        self._do(self._with_token, Hub.forget_token)

    @staticmethod
    def _do(work: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, name="download", daemon=True).start()

    def _server(self) -> Hub:
        with self._made:
            if self._hub is None:
                self._hub = self._make_hub()
            return self._hub

    def _list(self, number: int, text: str) -> None:
        repo = repository_in(text)
        try:
            hub = self._server()
            if repo:
                answer = Listed(models=hub.models(repo), repo=repo)
            else:
                answer = Listed(repos=hub.search(text.strip()))
        except RigpanelError as error:
            answer = Listed(repo=repo, problem=str(error))
        except Exception as error:
            log.exception("a server could not be asked")
            answer = Listed(repo=repo, problem=f"The server could not be asked: {error!r}.")
        if number == self._asked:
            _tell(self.listed, answer)

    def _with_token(self, change: Callable[[Hub], None]) -> None:
        try:
            hub = self._server()
        except RigpanelError as error:
            _tell(self.token_told, TokenTold(problem=str(error)))
            return
        problem = ""
        try:
            change(hub)
        except RigpanelError as error:
            problem = str(error)
        except Exception as error:
            log.exception("the keyring could not be used")
            problem = f"The keyring could not be used: {type(error).__name__}."
        _tell(self.token_told, TokenTold(hub.token_from, hub.server, problem or hub.token_problem))

    def _fetch(self, model: RemoteModel, stop: threading.Event) -> None:
        told_s = 0.0

        def report(done: int, whole: int) -> None:
            nonlocal told_s
            now = time.monotonic()
            if now - told_s >= TELL_S or done == whole:
                told_s = now
                _tell(self.progressed, Progress(model, done, whole, now))

        try:
            path = self._server().download(model, report, stop.is_set)
        except DownloadCancelledError:
            answer = Ended(model)
        except RigpanelError as error:
            answer = Ended(model, problem=str(error))
        except Exception as error:
            log.exception("a download failed unexpectedly")
            answer = Ended(model, problem=f"The download failed unexpectedly: {error!r}.")
        else:
            answer = Ended(model, path=str(path))
        _tell(self.ended, answer)


def _tell(signal: SignalInstance, what: object) -> None:
    with contextlib.suppress(RuntimeError):  # The window may be gone.
        signal.emit(what)
