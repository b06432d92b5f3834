"""Orthanc with its DICOMweb plugin on loopback, where the Debian packages are installed."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
WHY_NOT = "Orthanc with DICOMweb is not installed: apt-get install orthanc orthanc-dicomweb"


def installed():
    return shutil.which("Orthanc") is not None and PLUGIN.exists()


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def orthanc(folder):
    """The root of its DICOMweb service; everything it keeps lies in the folder."""
    port = _free_port()
    config = folder / "orthanc.json"
    config.write_text(
        json.dumps(
            {
                "Name": "TEST",
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "HttpPort": port,
                "HttpServerEnabled": True,
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
                "DicomServerEnabled": False,
                "Plugins": [str(PLUGIN)],
                "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            }
        )
    )
    log = (folder / "orthanc.log").open("w")
    process = subprocess.Popen(["Orthanc", str(config)], stdout=log, stderr=log, cwd=folder)
    root = f"http://127.0.0.1:{port}/dicom-web"
    try:
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(f"{root}/studies?limit=1", timeout=5).close()  # noqa: S310 - ours
                break
            told = (folder / "orthanc.log").read_text()
            assert process.poll() is None, told
            assert time.monotonic() < until, told
            time.sleep(0.2)
        yield root
    finally:
        process.terminate()
        process.wait(60)
        log.close()
