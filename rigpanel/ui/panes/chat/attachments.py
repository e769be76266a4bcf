# SPDX-License-Identifier: MIT
"""Text files that are sent with a message, each as a fenced block under its name."""

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rigpanel.errors import RigpanelError

MOST_KIB = 1024
LANGUAGES = {"md": "markdown", "py": "python", "sh": "bash", "rs": "rust", "js": "javascript"}


class AttachmentError(RigpanelError):
    """A file cannot be sent along; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A text and what it is called."""

    name: str
    text: str


def read_attachment(path: Path) -> Attachment:
    """Return a text file's content; raises AttachmentError."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise AttachmentError(f"{path.name} is not a file, so it cannot be sent along.")
        if status.st_size > MOST_KIB * 1024:
            raise AttachmentError(
                f"{path.name} has {status.st_size // 1024} KiB; at most {MOST_KIB} KiB can be sent "
                "along. Send the part that matters."
            )
        content = path.read_bytes()
    except OSError as error:
        raise AttachmentError(f"{path.name} cannot be read ({error.strerror}).") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise AttachmentError(f"{path.name} is not text in UTF-8, so it cannot be sent along.")
    return Attachment(path.name, text)


def with_attachments(text: str, attachments: Sequence[Attachment]) -> str:
    """Return a message with each attachment as a fenced block above what was written."""
    return "\n\n".join([*(_fenced(attachment) for attachment in attachments), text]).strip()


def _fenced(attachment: Attachment) -> str:
    ticks = max((len(run) for run in re.findall("`+", attachment.text)), default=0)
    fence = "`" * max(3, ticks + 1)
    ending = Path(attachment.name).suffix.lstrip(".").lower()
    language = LANGUAGES.get(ending, ending if ending.isalnum() else "")
    return f"{attachment.name}\n{fence}{language}\n{attachment.text.rstrip()}\n{fence}"
