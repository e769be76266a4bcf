# SPDX-License-Identifier: MIT
"""What each verb does."""

import os
from typing import Any

from rigpanel.cooling.curve import curve_from_json
from rigpanel.cooling.protocol import Request
from rigpanel.cooling.service import TRIAL_RANGE_S, CoolingService, CurveOrder
from rigpanel.cooling.state import MOST_W


def carry_out(service: CoolingService, request: Request, client: int) -> dict[str, Any]:
    """Do what a client asks and return what it is told; raises RigpanelError."""
    match request.verb:
        case "ping":
            return {"pid": os.getpid()}
        case "status":
            return service.status()
        case "auto":
            service.automatic(request.optional_uuid())
        case "set_curve":
            service.set_curve(
                CurveOrder(
                    request.uuid(),
                    curve_from_json(request.fields.get("curve")),
                    fan=request.optional_fan(),
                    persist=request.flag("persist"),
                    confirm_within_s=request.optional_number("confirm_within_s", *TRIAL_RANGE_S),
                    lease=client if request.flag("lease") else None,
                )
            )
        case "confirm":
            service.confirm(request.uuid())
        case "revert":
            service.revert(request.uuid())
        case "set_power_limit":
            service.set_power_limit(
                request.uuid(),
                request.number("limit_w", 0.0, MOST_W),
                request.optional_number("confirm_within_s", *TRIAL_RANGE_S),
            )
        case "reset_power_limits":
            return {"left": service.reset_power_limits(request.optional_uuid())}
        case "suspend":
            service.loop.suspend()
        case _:
            service.loop.resume()
    return {}
