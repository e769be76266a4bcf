# SPDX-License-Identifier: MIT
"""Fetches models from Hugging Face, or a server that speaks like it, into a folder of ours.

A file has its name only once it is whole and checked; what was interrupted goes on where it was.
"""

import enum
import hashlib
import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rigpanel.errors import RigpanelError
from rigpanel.library.gguf_header import shard_place
from rigpanel.library.hub_tokens import HubTokens, TokenError
from rigpanel.library.words import size_words

MIB = 1024 * 1024
PIECE = 4 * MIB
SEARCH_LIMIT = 20
ANSWER_S = 20.0
"""Patience with a server that is asked what it has; without it a dead network is waited for."""
SPARE_MIB = 256
"""Kept free on the disk."""


class DownloadError(RigpanelError):
    """A model could not be listed or fetched; the text says why and what to do."""


class DownloadCancelledError(DownloadError):
    """The download was paused or cancelled; what has come stays and is gone on from."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository."""

    path: str
    size: int
    sha256: str
    """Empty where the server tells none."""


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """One quantization of a repository: a file, or several that are one model."""

    repo: str
    name: str
    files: tuple[RemoteFile, ...]

    @property
    def size_mib(self) -> float:
        """Size of all its files."""
        return sum(file.size for file in self.files) / MIB


class TokenFrom(enum.Enum):
    """Where the access token comes from that a server is shown."""

    NOWHERE = "nowhere"
    KEYRING = "keyring"
    ENVIRONMENT = "environment"
    """HF_TOKEN, or huggingface_hub's own login; it goes before the keyring."""


Report = Callable[[int, int], None]
"""Called with the bytes that are there and those there will be."""


class Hub:
    """A server of models; every method waits for it, so not on the main thread.

    `endpoint` is as HF_ENDPOINT says unless given, the token as HF_TOKEN says, or else what
    `tokens` keeps for this server; files come to `folder`/OWNER/NAME.
    """

    def __init__(
        self, folder: Path, endpoint: str | None = None, tokens: HubTokens | None = None
    ) -> None:
        try:
            import huggingface_hub
            import huggingface_hub.constants
            import huggingface_hub.errors
            import huggingface_hub.file_download
            import huggingface_hub.utils
        except ImportError as error:
            raise DownloadError(
                'Fetching models needs huggingface_hub: pip install "rigpanel[download]".'
            ) from error
        self._hub: Any = huggingface_hub
        self._endpoint = endpoint
        self._folder = folder
        self._tokens = tokens
        self.token_problem = ""
        """Why the token that is kept could not be had; empty if it could."""
        self._find_token()

    @property
    def server(self) -> str:
        """Host name of the server, with the port if it has one of its own."""
        return urlsplit(self._endpoint or str(self._hub.constants.ENDPOINT)).netloc

    @property
    def token_from(self) -> TokenFrom:
        """Where the token comes from."""
        if self._hub.get_token() is not None:
            return TokenFrom.ENVIRONMENT
        return TokenFrom.KEYRING if self._token else TokenFrom.NOWHERE

    def keep_token(self, token: str) -> None:
        """Keep a token for this server in the keyring and use it; raises TokenError."""
        if self._tokens is None:
            raise TokenError("There is no place to keep a token in. Set HF_TOKEN.")
        self._tokens.keep(self.server, token)
        self._find_token()

    def forget_token(self) -> None:
        """Take this server's token out of the keyring; raises TokenError."""
        if self._tokens is not None:
            self._tokens.forget(self.server)
        self._find_token()

    def _find_token(self) -> None:
        self._token: str | None = None
        self.token_problem = ""
        if self._tokens is not None and self._hub.get_token() is None:
            try:
                self._token = self._tokens.find(self.server)
            except TokenError as error:  # What is public needs none.
                self.token_problem = str(error)
        self._api: Any = self._hub.HfApi(endpoint=self._endpoint, token=self._token)

    def search(self, text: str) -> tuple[str, ...]:
        """Return the names of repositories with GGUF files that match, the most used first."""
        found = self._asked(lambda: self._first_page(text), text)
        return tuple(str(model["id"]) for model in found)

    def _first_page(self, text: str) -> Any:
        """Ask once: huggingface_hub's own listing asks six times, for half a minute."""
        utils = self._hub.utils
        answer = utils.get_session().get(
            f"{self._api.endpoint}/api/models",
            params={"search": text, "filter": "gguf", "sort": "downloads", "limit": SEARCH_LIMIT},
            headers=utils.build_hf_headers(token=self._token),
            timeout=ANSWER_S,
        )
        utils.hf_raise_for_status(answer)
        return answer.json()

    def models(self, repo: str) -> tuple[RemoteModel, ...]:
        """Return the models of a repository, smallest first."""
        info = self._asked(
            lambda: self._api.model_info(repo, files_metadata=True, timeout=ANSWER_S), repo
        )
        files = sorted(
            (
                RemoteFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else "")
                for file in info.siblings or []
                if file.rfilename.lower().endswith(".gguf")
            ),
            key=lambda file: file.path,
        )
        grouped = (
            RemoteModel(repo, name, tuple(group)) for name, group in groupby(files, key=_model_name)
        )
        return tuple(sorted(grouped, key=lambda model: (model.size_mib, model.name)))

    def download(
        self,
        model: RemoteModel,
        report: Report = lambda _done, _whole: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Path:
        """Fetch every file of a model, check it, and return the path of the first.

        Raises DownloadCancelledError after `cancelled`; called again it goes on from there.
        """
        targets = [self._target(model, file) for file in model.files]
        self._check_room(model, targets)
        whole = sum(file.size for file in model.files)
        done = 0
        for file, path in zip(model.files, targets, strict=True):
            progress = _progress(done, whole, report, cancelled)
            if not path.exists():
                self._fetch(model, file, path, progress, cancelled)
            done += file.size
            report(done, whole)
        return targets[0]

    def forget(self, model: RemoteModel) -> None:
        """Take away what has come of a download that was stopped; whole files stay."""
        for file in model.files:
            _part(self._target(model, file), file).unlink(missing_ok=True)

    def _fetch(
        self,
        model: RemoteModel,
        file: RemoteFile,
        path: Path,
        progress: type[Any],
        cancelled: Callable[[], bool],
    ) -> None:
        """Fetch one file, or the rest of it, check it and give it its name."""
        hub = self._hub
        part = _part(path, file)

        def fetch() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("ab") as out:
                hub.file_download.http_get(
                    hub.hf_hub_url(model.repo, file.path, endpoint=self._endpoint),
                    out,
                    resume_size=out.tell(),
                    headers=hub.utils.build_hf_headers(token=self._token),
                    expected_size=file.size,
                    tqdm_class=progress,
                )

        if _size(part) > file.size:
            part.unlink()
        self._asked(
            fetch,
            f"{model.repo}: {file.path}",
            failed="fetched from",
            advice="What has come stays; try again.",
        )
        _check(part, file, cancelled)
        part.replace(path)

    def _target(self, model: RemoteModel, file: RemoteFile) -> Path:
        """Return where a file goes; a name that would lead out of the folder is refused."""
        folder = self._folder / model.repo
        path = folder / file.path
        parts = (*Path(model.repo).parts, *Path(file.path).parts)
        if ".." in parts or Path(file.path).is_absolute() or not path.is_relative_to(self._folder):
            raise DownloadError(f"{model.repo}: {file.path!r} is no name of a file there.")
        return path

    def _check_room(self, model: RemoteModel, targets: Sequence[Path]) -> None:
        folder = self._folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        there = sum(
            _size(path) or _size(_part(path, file))
            for file, path in zip(model.files, targets, strict=True)
        )
        missing_mib = model.size_mib - there / MIB
        free_mib = shutil.disk_usage(folder).free / MIB
        if missing_mib + SPARE_MIB > free_mib:
            raise DownloadError(
                f"{model.name} needs {size_words(missing_mib)} more on the disk of "
                f"{self._folder}, and {size_words(free_mib)} are free. Make room there."
            )

    def _asked(
        self,
        ask: Callable[[], Any],
        what: str,
        failed: str = "looked up at",
        advice: str = "Check the network and try again.",
    ) -> Any:
        """Return what the server answers; its errors as sentences."""
        errors = self._hub.errors
        try:
            return ask()
        except DownloadError:
            raise
        except errors.GatedRepoError as error:
            raise DownloadError(
                f"{what}: its makers ask for an agreement first. Accept it on its page, and "
                f"{self._token_advice()}"
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise DownloadError(
                f"{what}: there is no such repository, or it is private. Check the name; for a "
                f"private one {self._token_advice()}"
            ) from error
        except errors.HFValidationError as error:
            raise DownloadError(f"{what}: is no name of a repository (OWNER/NAME).") from error
        except (OSError, errors.HTTPError) as error:
            raise DownloadError(
                f"{what}: could not be {failed} {self.server} ({_short(error)}). {advice}"
            ) from error
        except (RuntimeError, ValueError) as error:
            raise DownloadError(f"{what}: {_short(error)}.") from error

    def _token_advice(self) -> str:
        if self.token_problem:
            return f"give your account's access token. {self.token_problem}"
        return {
            TokenFrom.NOWHERE: "give your account's access token.",
            TokenFrom.KEYRING: "see that the access token you keep is of that account.",
            TokenFrom.ENVIRONMENT: "see that HF_TOKEN is of that account.",
        }[self.token_from]


def _model_name(file: RemoteFile) -> str:
    place = shard_place(Path(file.path))
    stem = place[0] if place else Path(file.path).stem
    return str(Path(file.path).with_name(stem))


def _short(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def _progress(before: int, whole: int, report: Report, cancelled: Callable[[], bool]) -> type[Any]:
    """Return what huggingface_hub tells its progress: it reports, and ends what is cancelled."""
    from tqdm import tqdm

    class Progress(tqdm):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*arguments, **{**options, "file": io.StringIO(), "disable": False})
            self.update(0)

        def update(self, n: float | None = 1) -> bool | None:
            if cancelled():
                raise DownloadCancelledError("The download was stopped; it can be gone on with.")
            shown: bool | None = super().update(n)
            report(min(before + int(self.n), whole), whole)
            return shown

    return Progress


def _pieces(path: Path, cancelled: Callable[[], bool]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            if cancelled():
                raise DownloadCancelledError("The download was stopped; it can be gone on with.")
            yield piece


def _part(path: Path, file: RemoteFile) -> Path:
    """Return where a file is gathered: its content is in the name, so that no other goes on it."""
    return path.with_name(f"{path.name}.{file.sha256[:16] or file.size}.part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check(path: Path, file: RemoteFile, cancelled: Callable[[], bool]) -> None:
    """See that a file is what the server said it would be, and take it away if it is not."""
    digest = hashlib.sha256()
    for piece in _pieces(path, cancelled) if file.sha256 else ():
        digest.update(piece)
    if _size(path) == file.size and (not file.sha256 or digest.hexdigest() == file.sha256):
        return
    path.unlink()
    raise DownloadError(
        f"{file.path} is not what the server said it would be (size or SHA-256 differ), so it was "
        "taken away. Fetch it again."
    )
