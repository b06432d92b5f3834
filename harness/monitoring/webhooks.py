"""Alerts to other systems, by HTTP POST: each at least once, and told in the log."""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPException
from typing import Any

from harness.monitoring.config import MonitorConfig
from harness.monitoring.journal import Journal, alerts_of


class Webhooks:
    """What is still to be posted. A post that fails is tried again at the next pass.

    Receivers tell repeats by `entry`, `id` and `event`. The body holds no study, patient or text.
    """

    def __init__(self, config: MonitorConfig, journal: Journal) -> None:
        self.config, self.journal = config, journal
        self.waiting: dict[tuple[str, str, str, str], dict[str, Any]] = {}
        """(url, entry, id, event) -> body."""
        self.failures: dict[str, str] = {}
        """url -> why the last post failed."""

    def expect(self, entry: dict[str, Any]) -> None:
        """Takes in the alerts of an entry."""
        for alert in alerts_of(entry):
            for hook in self.config.webhooks:
                body = {"monitor": self.config.name, **alert}
                self.waiting[hook.url, alert["entry"], alert["id"], alert["event"]] = body

    def recall(self, entry: dict[str, Any]) -> None:
        """Takes in an entry of the log: alerts to post, or that one was posted."""
        if entry["event"] == "posted":
            self.waiting.pop((entry["url"], entry["entry"], entry["id"], entry["what"]), None)
        else:
            self.expect(entry)

    def post(self) -> None:
        """Posts what is waiting, oldest first; one failure of a URL ends its turn."""
        timeouts = {hook.url: hook.timeout_s for hook in self.config.webhooks}
        self.failures = {}
        for (url, entry, name, what), body in list(self.waiting.items()):
            if url in self.failures:
                continue
            request = urllib.request.Request(  # noqa: S310 - http and https only, see the configuration
                url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
            )
            try:
                with urllib.request.urlopen(request, timeout=timeouts[url]):  # noqa: S310 - as above
                    pass
            except (OSError, HTTPException, ValueError) as error:
                self.failures[url] = type(error).__name__
                continue
            self.journal.log.append("posted", url=url, entry=entry, id=name, what=what)
            del self.waiting[url, entry, name, what]
