"""Alerts by Apprise, which knows a hundred services: e-mail, Teams, PagerDuty, Telegram, …

The secret `APPRISE_<NAME>` holds the service's URL (or several, with spaces between), chosen by `apprise:NAME`. Apprise
has no threads, so updates name their incident.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from ostinato.context import Resolve
from ostinato.delivery import Letter, NotNow
from ostinato.errors import ConfigurationError, MissingPackage


def send(letter: Letter, resolve: Resolve, seconds: float) -> dict[str, Any]:
    """Send a letter to every service of the URL; Apprise's own time-outs hold, four seconds a service by default.

    Raises:
        MissingPackage: Apprise is not installed.
        ConfigurationError: no such secret, or no URL that Apprise knows.
        NotNow: a service did not take it.
    """
    try:
        import apprise
    except ImportError:
        raise MissingPackage("apprise", "apprise") from None
    secret = "APPRISE_" + re.sub(r"\W", "_", letter.to).upper()
    urls = resolve(secret) if letter.to else None
    if not urls:
        raise ConfigurationError(f"The secret {secret} is not set: write a URL of Apprise there.")
    with apprise.LogCapture(level=logging.CRITICAL):  # type: ignore[no-untyped-call]  # its own words name addresses
        services = apprise.Apprise()
        if not services.add(urls):
            raise ConfigurationError(f"The secret {secret} holds no URL that Apprise knows.")
        under = [f"({letter.under})"] if letter.under else []
        body = "\n".join([*under, *letter.plain().split("\n")[1:]]) or letter.title
        arrived = services.notify(body=body, title=letter.headline, body_format=apprise.NotifyFormat.TEXT)
    if not arrived:
        raise NotNow(f"A service of {secret} did not take it.", doubtful=len(services) > 1)
    return {}
