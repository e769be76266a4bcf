# SPDX-License-Identifier: MIT
"""What llama.cpp would refuse, and which setting a person has to change for it."""

import dataclasses
from typing import Any

from rigpanel.engine.checks import check, check_devices
from rigpanel.engine.devices import Device, default_names
from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.gguf_header import GgufHeader

MAX_DEVICES = 16
"""llama.cpp's own limit (`llama_max_devices`), the same in every build since 2023."""


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """A sentence, and the name in LoadSettings of the setting it stands at."""

    sentence: str
    field: str
    """Empty where no single setting is to blame."""


def refusal(
    settings: LoadSettings, header: GgufHeader, listed: tuple[Device, ...] = ()
) -> Refusal | None:
    """Return why these settings cannot be loaded; None when nothing speaks against them.

    `listed` is what llama.cpp says there is; empty where it has not been asked.

    To blame is the first setting that, left at its default, would make the sentence go away. Reads
    the other files that the settings name, so it is no work for the Qt thread.
    """
    sentence = _sentence(settings, header, listed)
    if not sentence:
        return None
    left_alone = LoadSettings(settings.model)
    for one in dataclasses.fields(settings):
        default = getattr(left_alone, one.name)
        if getattr(settings, one.name) == default:
            continue
        changed: dict[str, Any] = {one.name: default}
        if _sentence(dataclasses.replace(settings, **changed), header, listed) != sentence:
            return Refusal(sentence, one.name)
    return Refusal(sentence, "")


def _sentence(settings: LoadSettings, header: GgufHeader, listed: tuple[Device, ...]) -> str:
    try:
        check(settings, header, MAX_DEVICES)
        if listed:
            check_devices(settings, settings.devices or default_names(listed), listed)
    except RigpanelError as error:
        return str(error)
    return ""
