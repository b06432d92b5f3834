"""A small service that speaks the report contract, and breaks it in the way that the study's id names."""

import asyncio
import contextlib
import json
from collections import Counter

from loopback import Loopback

DIGEST = "ab" * 32
REPORT = {
    "report_id": "r",
    "findings": [
        {"finding": "Pleural Effusion", "confidence": 0.75, "laterality": "left", "is_critical": True}
    ],
    "findings_text": "There is a small left pleural effusion.",
    "impression": "Left pleural effusion.",
    "model_version": "m1",
}


class FaultyService(Loopback):
    """Listens on loopback while it is open. `asked`: study -> requests; `keys`: study -> idempotency keys."""

    def __init__(self, *, ready=None, token=None, ssl=None):
        self.ready = {
            "status": "ready",
            "candidate": "told",
            "candidate_digest": DIGEST,
            "harness": "0",
            "report_templates": ["standard"],
        } | (ready or {})
        self.token = token
        self.ssl = ssl
        self.asked, self.keys, self.bodies = Counter(), {}, {}
        self.sent = 0
        self.version = "m1"

    @property
    def url(self):
        return f"{'https' if self.ssl else 'http'}://{self.host}"

    async def _serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = head[0].split()
                headers = {name.lower(): value.strip() for name, _, value in
                           (line.partition(":") for line in head[1:] if line)}  # fmt: skip
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self._answer(writer, method, path, headers, body):
                    break
        writer.close()

    async def _answer(self, writer, method, path, headers, body):
        if path == "/readyz":
            return await send(writer, 200, self.ready)
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            return await send(writer, 401, {"status": 401})
        if body == b"{}":
            return await send(writer, 422, {"status": 422})
        study = path.split("/")[4]
        self.asked[study] += 1
        self.keys.setdefault(study, []).append(headers.get("idempotency-key"))
        self.bodies[study] = json.loads(body)
        fault = getattr(self, "fault_" + study.rstrip("0123456789-").replace("-", "_"), None)
        if fault is None:
            return await send(writer, 200, self.report(), study=study)
        return await fault(writer, study)

    def report(self, **changes):
        return {**REPORT, "model_version": self.version, **changes}

    async def fault_wrong_study(self, writer, study):
        return await send(writer, 200, self.report(), study="another")

    async def fault_no_study(self, writer, study):
        return await send(writer, 200, self.report())

    async def fault_other_candidate(self, writer, study):
        return await send(writer, 200, self.report(), study=study, candidate="cd" * 32)

    async def fault_no_candidate(self, writer, study):
        return await send(writer, 200, self.report(), study=study, candidate=None)

    async def fault_other_version(self, writer, study):
        return await send(writer, 200, self.report(model_version="m2"), study=study)

    async def fault_error(self, writer, study):
        return await send(writer, 500, {"status": 500})

    async def fault_candidate_late(self, writer, study):
        return await send(writer, 504, {"status": 504})

    async def fault_unknown(self, writer, study):
        return await send(writer, 404, {"status": 404})

    async def fault_half(self, writer, study):
        return await send(writer, 200, self.report(), study=study, cut=40)

    async def fault_half_once(self, writer, study):
        return await send(writer, 200, self.report(), study=study, cut=40 if self.asked[study] == 1 else None)

    async def fault_hang_up_once(self, writer, study):
        return self.asked[study] > 1 and await send(writer, 200, self.report(), study=study)

    async def fault_hang_up(self, writer, study):
        return False

    async def fault_gateway_once(self, writer, study):
        first = self.asked[study] == 1
        return await send(writer, 502 if first else 200, self.report(), study=study)

    async def fault_invalid_json(self, writer, study):
        return await send(writer, 200, b'{"report_id": "r", "findings": [', study=study)

    async def fault_invalid_report(self, writer, study):
        return await send(
            writer, 200, self.report(findings=[{"finding": "Gout", "confidence": 1}]), study=study
        )

    async def fault_nan(self, writer, study):
        findings = [{"finding": "Fracture", "confidence": float("nan")}]
        return await send(writer, 200, self.report(findings=findings), study=study)

    async def fault_empty(self, writer, study):
        return await send(writer, 200, self.report(findings_text="", impression=" "), study=study)

    async def fault_html(self, writer, study):
        return await send(writer, 200, b"<html>Please log in</html>", study=study, kind="text/html")

    async def fault_gzip(self, writer, study):
        return await send(writer, 200, b"\x1f\x8b", study=study, extra="content-encoding: gzip\r\n")

    async def fault_redirect(self, writer, study):
        return await send(writer, 307, b"", extra=f"location: {self.url}/api/v1/studies/good/report\r\n")

    async def fault_huge(self, writer, study):
        """Says beforehand that it has 100 MB."""
        writer.write(head(200, 100_000_000, study))
        return await self._flood(writer, b"x" * 65536)

    async def fault_huge_chunked(self, writer, study):
        """Has 100 MB and does not say so."""
        writer.write(head(200, None, study) + b"\r\n")
        return await self._flood(writer, b"10000\r\n" + b"x" * 65536 + b"\r\n")

    async def _flood(self, writer, block):
        for _ in range(100_000_000 // 65536):
            writer.write(block)
            await writer.drain()
            self.sent += len(block)
        return False

    async def fault_drip_body(self, writer, study):
        text = json.dumps(self.report()).encode()
        writer.write(head(200, len(text), study))
        return await drip(writer, text)

    async def fault_drip_head(self, writer, study):
        return await drip(writer, head(200, 5, study))

    async def fault_silent(self, writer, study):
        await asyncio.sleep(600)

    async def fault_slow(self, writer, study):
        """Answers a second too late, and on the same connection."""
        await asyncio.sleep(2)
        return await send(writer, 200, self.report(findings_text="LATE"), study=study)

    async def fault_busy(self, writer, study):
        if self.asked[study] < 3:
            return await send(writer, 429, {"status": 429}, extra="retry-after: 0\r\n")
        return await send(writer, 200, self.report(), study=study)

    async def fault_slow_body_once(self, writer, study):
        first = self.asked[study] == 1
        extra = "retry-after: 0\r\n" if first else ""
        return await send(writer, 408 if first else 200, self.report(), study=study, extra=extra)

    async def fault_busy_for_long(self, writer, study):
        return await send(writer, 429, {"status": 429}, extra="retry-after: 3600\r\n")


async def drip(writer, data):
    for place in range(len(data)):
        writer.write(data[place : place + 1])
        await writer.drain()
        await asyncio.sleep(0.1)
    return False


async def send(
    writer, status, body, *, study=None, candidate=DIGEST, kind="application/json", extra="", cut=None
):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    writer.write(head(status, len(data), study, candidate, kind, extra) + data[:cut])
    await writer.drain()
    return cut is None


def head(status, length, study=None, candidate=DIGEST, kind="application/json", extra=""):
    lines = [f"HTTP/1.1 {status} Told", f"content-type: {kind}"]
    lines += [f"content-length: {length}" if length is not None else "transfer-encoding: chunked"]
    lines += [f"x-study-id: {study}"] if study else []
    lines += [f"x-candidate: {candidate}"] if candidate and status == 200 else []
    return ("\r\n".join(lines) + "\r\n" + extra + ("\r\n" if length is not None else "")).encode()
