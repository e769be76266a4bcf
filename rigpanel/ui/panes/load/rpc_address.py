# SPDX-License-Identifier: MIT
"""Addresses of llama.cpp RPC servers as a person types them and as the settings file keeps them."""

import ipaddress

from rigpanel.engine.messages import EngineError
from rigpanel.engine.rpc_peer import check_server


def address_problem(text: str) -> str:
    """Return what is wrong with an address, empty where nothing is."""
    try:
        check_server(text)
    except EngineError as error:
        return str(error)
    return "" if "," not in text else f"{text!r} is more than one address; add them one by one."


def is_public(address: str) -> bool:
    """Whether an address is a number that the whole Internet can reach; names are not looked up."""
    try:
        return ipaddress.ip_address(address.rpartition(":")[0]).is_global
    except ValueError:
        return False


def split_list(text: str) -> tuple[str, ...]:
    """Return the addresses of a list as the settings file holds it; what is none is left out."""
    parts = (part.strip() for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part and not address_problem(part)))
