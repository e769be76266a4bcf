# SPDX-License-Identifier: MIT
"""Access tokens of model servers, kept in the system's keyring and nowhere else."""

import json
import logging
from pathlib import Path
from typing import Any

from rigpanel.errors import RigpanelError
from rigpanel.settings import write_atomically

SERVICE = "rigpanel"
SAFE_PRIORITY = 1
"""Backends below it keep secrets in plain or weakly encrypted files (keyring's own measure)."""

log = logging.getLogger(__name__)


class TokenError(RigpanelError):
    """The keyring cannot be used; the text says why and what else there is."""


class HubTokens:
    """One token for each server, by its host name; every method waits for the keyring.

    `note` is a file with the names of the servers whose tokens are kept, and no token: a keyring
    may open a window when it is asked, so it is asked only for what it holds.
    """

    def __init__(self, note: Path) -> None:
        self._note = note

    def find(self, server: str) -> str | None:
        """Return the token kept for a server; raises TokenError."""
        if server not in self._noted():
            return None
        keyring, errors = _keyring()
        try:
            token: str | None = keyring.get_password(SERVICE, server)
        except errors.KeyringError as error:
            raise _told(error) from error
        return token

    def keep(self, server: str, token: str) -> None:
        """Keep a token in place of the one there was; raises TokenError."""
        if not token.isascii() or not token.isprintable() or " " in token or not token:
            raise TokenError("This is no access token. Copy it whole from your account's page.")
        keyring, errors = _keyring()
        self._write({*self._noted(), server})
        try:
            keyring.set_password(SERVICE, server, token)
        except errors.KeyringError as error:
            raise _told(error) from error

    def forget(self, server: str) -> None:
        """Take a server's token out of the keyring; raises TokenError."""
        if server not in self._noted():
            return
        keyring, errors = _keyring()
        try:
            if keyring.get_password(SERVICE, server) is not None:
                keyring.delete_password(SERVICE, server)
        except errors.KeyringError as error:
            raise _told(error) from error
        self._write(self._noted() - {server})

    def _noted(self) -> set[str]:
        try:
            names = json.loads(self._note.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return set()
        except (OSError, ValueError) as error:
            log.warning("%s cannot be read (%s); no keyring is asked", self._note, error)
            return set()
        return {str(name) for name in names} if isinstance(names, list) else set()

    def _write(self, names: set[str]) -> None:
        if names == self._noted():
            return
        try:
            write_atomically(self._note, json.dumps(sorted(names)) + "\n")
        except OSError as error:
            raise TokenError(f"{self._note} cannot be written ({error.strerror}).") from error


def _keyring() -> tuple[Any, Any]:
    """Return the keyring of this session and the module of its errors."""
    try:
        import keyring
        import keyring.errors
    except ImportError as error:
        raise TokenError(
            'Keeping a token needs keyring: pip install "rigpanel[download]".'
        ) from error
    backend = keyring.get_keyring()
    if backend.priority < SAFE_PRIORITY:
        raise TokenError(
            "This session has no keyring to keep a token in. Start one (GNOME Keyring, KWallet or "
            "KeePassXC), or set HF_TOKEN."
        )
    return backend, keyring.errors


def _told(error: Exception) -> TokenError:
    why = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    return TokenError(f"The keyring refused ({why}). Unlock it and try again, or set HF_TOKEN.")
