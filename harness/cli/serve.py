"""`harness serve`: a candidate behind its HTTP contract."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Answers POST /api/v1/studies/{study_id}/report with a candidate's report; see /openapi.json for the
contract, /readyz for readiness, /metrics for Prometheus. Pictures come from a folder of DICOM files or a
DICOMweb server. Without --token-file or --tls-client-ca it listens on loopback only. SIGTERM finishes what
was taken.

  harness phantom dicom cohorts/phantom --out dicom
  harness serve --candidate template --images folder:dicom --second-reader template
"""


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "serve",
        help="serve a candidate over HTTP: DICOM in, report out (JSON, FHIR, text)",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--candidate", required=True, metavar="KIND[:PATH]", help="who writes the reports")
    verb.add_argument(
        "--images", required=True, metavar="KIND:PLACE", help="where pictures are: folder:DIR, dicomweb:URL"
    )
    verb.add_argument(
        "--second-reader",
        metavar="KIND[:PATH]",
        help="another candidate that sees the same pictures, such as template:VIT_DIRECTORY; where its "
        "critical findings and the report's text differ, a radiologist must review",
    )
    verb.add_argument("--workers", type=int, default=1, metavar="N", help="candidate processes (1)")
    verb.add_argument(
        "--timeout", type=float, default=30.0, metavar="SECONDS", help="for one report; then it is late (30)"
    )
    verb.add_argument(
        "--queue", type=int, default=64, metavar="N", help="requests taken at a time; more get 429 (64)"
    )
    verb.add_argument("--text-template", type=Path, metavar="FILE", help="Jinja2 file for text/plain")
    verb.add_argument("--host", default="127.0.0.1", help="address (127.0.0.1)")
    verb.add_argument("--port", type=int, default=8080, help="0: any that is free (8080)")
    verb.add_argument("--token-file", type=Path, metavar="FILE", help="holds the bearer token, a line")
    verb.add_argument("--tls-certificate", type=Path, metavar="PEM")
    verb.add_argument("--tls-key", type=Path, metavar="PEM")
    verb.add_argument(
        "--tls-client-ca", type=Path, metavar="PEM", help="clients need a certificate of this authority"
    )
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Serves until it is told to end."""
    import logging
    import signal
    import sys

    from harness.candidates import open_candidate
    from harness.errors import ServiceError
    from harness.service.server import Address, run_server

    if options.workers < 1 or options.queue < 1 or not options.timeout > 0:
        raise ServiceError("--workers and --queue must be 1 or more, --timeout above 0")
    if not 0 <= options.port <= 65535:
        raise ServiceError("--port must be 0 to 65535")
    address = Address(
        options.host, options.port, _token(options.token_file), options.tls_certificate, options.tls_key,
        options.tls_client_ca,
    )  # fmt: skip
    address.check()
    try:
        from harness.service.app import build_app
    except ImportError as error:
        raise ServiceError(f'serving needs {error.name}; pip install "harness[service]"') from None
    from harness.service.service import Service
    from harness.service.sources import open_source
    from harness.service.text import text_renderer

    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("harness.service").setLevel(logging.INFO)
    render = text_renderer(options.text_template)
    service = Service(
        open_candidate(options.candidate),
        open_source(options.images),
        second=open_candidate(options.second_reader) if options.second_reader else None,
        workers=options.workers,
        timeout_s=options.timeout,
        queue=options.queue,
    )
    # Until the server has its own way of ending, the workers must not outlive this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        service.start()
        app = build_app(service, render=render, token=address.token)
        if options.second_reader is None:
            print("No second reader: texts are checked against the candidate's own list alone")
        if not address.loopback and address.certificate is None:
            print("No TLS: put a proxy that encrypts in front; tokens and reports go in clear text")
        run_server(app, address, lambda url: print(f"listening on {url}", flush=True))
    finally:
        service.end()
    return 0


def _token(path: Path | None) -> str | None:
    from harness.errors import ServiceError

    if path is None:
        return None
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise ServiceError(f"{path}: no readable file of a token in ASCII") from None
    if len(token) < 16 or not token.isprintable() or " " in token:
        raise ServiceError(f"{path}: the token needs 16 or more visible characters; openssl rand -hex 32")
    return token
