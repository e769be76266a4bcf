# SPDX-License-Identifier: MIT
"""What the chat keeps on disk, in one hand."""

from dataclasses import dataclass

from rigpanel.chat.presets import PresetStore
from rigpanel.chat.store import ConversationStore


@dataclass(frozen=True, slots=True)
class Shelf:
    """Conversations and presets of one file."""

    conversations: ConversationStore
    presets: PresetStore
