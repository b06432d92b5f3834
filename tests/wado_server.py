"""A DICOMweb server on loopback that answers as the standard has it, or breaks it in a named way."""

import asyncio
import contextlib
import json
import threading
from collections import Counter
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pydicom

from loopback import Loopback

ROOT = "/dicom-web"
BOUNDARY = "part-of-the-answer"
MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


class WadoServer(Loopback):
    """Listens while it is open. Each instance is answered with its file, or with the fault it was given.

    `asked`: instance UID -> WADO-RS requests; `lines`: every request's first line; `heads`: its headers;
    `sent`: bytes of a flood that were taken off it; `bearers`: AccessionNumber or StudyID -> what a search
    by it finds, whatever the number: Study Instance UIDs and the number that each has.
    """

    def __init__(self, host="127.0.0.1"):
        self.address = host
        self.files, self.faults, self.found = {}, {}, {}
        self.asked, self.lines, self.heads, self.sent = Counter(), [], [], 0
        self.bearers = {}
        self.elsewhere, self.studies, self.let_go = "", b"[]", threading.Event()

    def put(self, path, fault=None, *, uid=None):
        """Keeps a file; returns the instance UID under which it is asked for, its own unless told."""
        file = pydicom.dcmread(path, stop_before_pixels=True)
        uid = uid or str(file.SOPInstanceUID)
        self.files[uid] = path.read_bytes()
        self.found.setdefault(uid, [str(file.StudyInstanceUID)])
        self.faults[uid] = fault
        return uid

    @property
    def url(self):
        return f"http://{self.host}{ROOT}"

    async def _serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                self.lines.append(lines[0])
                self.heads.append(head := {})
                for name, _, value in (line.partition(":") for line in lines[1:] if line):
                    told = head.get(name.lower())
                    head[name.lower()] = value.strip() if told is None else f"{told}, {value.strip()}"
                if not await self._answer(writer, lines[0].split()[1]):
                    break
        writer.close()

    async def _answer(self, writer, target):
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        for name, tag in (("AccessionNumber", "00080050"), ("StudyID", "00200010")):
            if path == f"{ROOT}/studies" and name in query:
                told = [
                    {"0020000D": {"vr": "UI", "Value": [study]}, tag: {"vr": "SH", "Value": [number]}}
                    for study, number in self.bearers.get(name, [])
                ]
                return await send(writer, json.dumps(told).encode(), kind="application/dicom+json")
        if path == f"{ROOT}/studies":
            return await send(writer, self.studies, kind="application/dicom+json")
        if path == f"{ROOT}/instances":
            studies = self.found.get(query["SOPInstanceUID"][0], [])
            told = [{"0020000D": {"vr": "UI", "Value": [study]}} for study in studies]
            return await send(writer, json.dumps(told).encode(), kind="application/dicom+json")
        uid = path.rpartition("/")[2]
        self.asked[uid] += 1
        if uid not in self.files:
            return await send(writer, b"", status=404)
        fault = getattr(self, f"fault_{self.faults[uid]}", None)
        if fault is None:
            return await send(writer, multipart(self.files[uid]))
        return await fault(writer, uid)

    async def fault_unauthorised(self, writer, uid):
        return await send(writer, b"who are you", status=401)

    async def fault_forbidden(self, writer, uid):
        return await send(writer, b"not you", status=403)

    async def fault_missing(self, writer, uid):
        return await send(writer, b"", status=404)

    async def fault_error(self, writer, uid):
        return await send(writer, b"Traceback", status=500)

    async def fault_busy_once(self, writer, uid):
        if self.asked[uid] == 1:
            return await send(writer, b"", status=503)
        return await send(writer, multipart(self.files[uid]))

    async def fault_compressed_only(self, writer, uid):
        """Cannot send it uncompressed; sends what it has where anything is accepted."""
        if "transfer-syntax=*" not in self.heads[-1]["accept"]:
            return await send(writer, b"", status=406)
        return await send(writer, multipart(self.files[uid]))

    async def fault_compressed_only_as_orthanc(self, writer, uid):
        """Fails over what it cannot decompress."""
        if "transfer-syntax=*" not in self.heads[-1]["accept"]:
            return await send(writer, b"{}", status=500, kind="application/json")
        return await send(writer, multipart(self.files[uid]))

    async def fault_half(self, writer, uid):
        body = multipart(self.files[uid])
        writer.write(start(len(body)) + body[: len(body) // 2])
        await writer.drain()
        return False

    async def fault_half_of_unknown_length(self, writer, uid):
        """Says neither how long it is nor that anything is missing."""
        body = multipart(self.files[uid])
        writer.write(start(None) + body[: len(body) // 2])
        await writer.drain()
        return False

    async def fault_half_chunked(self, writer, uid):
        body = multipart(self.files[uid])
        half = body[: len(body) // 2]
        writer.write(start(None, extra="transfer-encoding: chunked\r\n"))
        writer.write(f"{len(half):x}\r\n".encode() + half + b"\r\n0\r\n\r\n")
        await writer.drain()
        return False

    async def fault_html(self, writer, uid):
        return await send(writer, b"<html>Please log in, SECRET^NAME</html>", kind="text/html")

    async def fault_no_type(self, writer, uid):
        return await send(writer, multipart(self.files[uid]), kind=None)

    async def fault_no_dicom(self, writer, uid):
        return await send(writer, multipart(b"SECRET^NAME" * 100))

    async def fault_no_part(self, writer, uid):
        return await send(writer, multipart())

    async def fault_two(self, writer, uid):
        return await send(writer, multipart(self.files[uid], self.files[uid]))

    async def fault_bare(self, writer, uid):
        """Not wrapped in a multipart answer, as some servers do."""
        return await send(writer, self.files[uid], kind="application/dicom")

    async def fault_gzip(self, writer, uid):
        return await send(writer, b"\x1f\x8b", extra="content-encoding: gzip\r\n")

    async def fault_redirect(self, writer, uid):
        return await send(writer, b"", status=302, extra=f"location: {self.elsewhere}/instances/{uid}\r\n")

    async def fault_huge(self, writer, uid):
        """Says beforehand that it has 100 MB."""
        writer.write(start(100_000_000) + f"--{BOUNDARY}\r\n\r\n".encode())
        return await self._flood(writer)

    async def fault_huge_chunked(self, writer, uid):
        """Has 100 MB and does not say so."""
        writer.write(start(None, extra="transfer-encoding: chunked\r\n"))
        return await self._flood(writer, b"10000\r\n", b"\r\n")

    async def _flood(self, writer, before=b"", after=b""):
        block = before + b"x" * 65536 + after
        for _ in range(100_000_000 // 65536):
            writer.write(block)
            await writer.drain()
            self.sent += 65536
        return False

    async def fault_drip(self, writer, uid):
        body = multipart(self.files[uid])
        writer.write(start(len(body)))
        return await drip(writer, body)

    async def fault_drip_head(self, writer, uid):
        return await drip(writer, start(5))

    async def fault_silent(self, writer, uid):
        await asyncio.sleep(600)

    async def fault_slow(self, writer, uid):
        """Answers when it is let go."""
        await asyncio.to_thread(self.let_go.wait, 60)
        return await send(writer, multipart(self.files[uid]))

    async def fault_hang_up(self, writer, uid):
        return False


async def drip(writer, data):
    for place in range(len(data)):
        writer.write(data[place : place + 1])
        await writer.drain()
        await asyncio.sleep(0.05)
    return False


def multipart(*parts):
    """The body of a WADO-RS answer (PS3.18, 8.6.1.2)."""
    body = BytesIO()
    for part in parts:
        body.write(f"\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode())
        body.write(part)
    body.write(f"\r\n--{BOUNDARY}--\r\n".encode())
    return body.getvalue()


async def send(writer, body, *, status=200, kind=MULTIPART, extra=""):
    writer.write(start(len(body), status, kind, extra) + body)
    await writer.drain()
    return True


def start(length, status=200, kind=MULTIPART, extra=""):
    lines = [f"HTTP/1.1 {status} Told"]
    lines += [f"content-type: {kind}"] if kind else []
    lines += [f"content-length: {length}"] if length is not None else []
    lines += ["connection: close"] if length is None else []
    return ("\r\n".join(lines) + "\r\n" + extra + "\r\n").encode()
