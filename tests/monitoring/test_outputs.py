"""What other programs read: OpenMetrics, state, page, webhooks."""

import json
import threading
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.monitoring import Monitor
from harness.monitoring.openmetrics import openmetrics
from harness.monitoring.outputs import write_outputs
from harness.monitoring.page import render_page
from production import folder, report, steady


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with a raised alert, faults, and a half-written last line."""
    root = tmp_path_factory.mktemp("outputs")
    slow = [record | {"latency_s": 90.0} if "latency_s" in record else record
            for record in steady(4, seed=6, prefix="t", first=18)]  # fmt: skip
    config = {"rules": [
        {"id": "p99", "measure": "latency", "above": 30, "over_h": 1, "action": 'say "scale <up>"\\ now'},
        {"id": "claims", "measure": "hallucination_rate", "above": 0.05, "over_h": 6, "action": "pause"},
    ]}  # fmt: skip
    path = folder(root, steady(18), config)
    with (root / "production" / "a.jsonl").open("a") as stream:
        stream.write("{broken <script>\n" + "".join(json.dumps(one) + "\n" for one in slow) + '{"study_id"')
    with Monitor.opened(path) as monitor:
        monitor.advance()
        write_outputs(monitor)
    return root


@pytest.fixture
def monitor(root):
    with Monitor.opened(root / "monitor.yaml") as monitor:
        monitor.advance()
        yield monitor


def test_metrics_are_openmetrics_by_prometheus_own_parser(monitor):
    families = {family.name: family for family in text_string_to_metric_families(openmetrics(monitor))}
    alerts = {sample.labels["id"]: sample for sample in families["harness_monitor_alert"].samples}
    assert alerts["p99"].value == 1
    assert alerts["p99"].labels["action"] == 'say "scale <up>"\\ now'
    assert alerts["claims"].value == 0
    assert families["harness_monitor_silent"].samples[0].value == 0
    assert families["harness_monitor_windows"].type == "counter"
    assert families["harness_monitor_windows"].samples[0].value == monitor.totals["windows"]
    assert families["harness_monitor_stream_faults"].samples[0].labels == {"kind": "not JSON"}
    quantiles = {sample.labels["quantile"] for sample in families["harness_monitor_latency_seconds"].samples}
    assert quantiles == {"0.5", "0.95", "0.99"}


def test_metrics_before_any_window_are_openmetrics_too(tmp_path):
    with Monitor.opened(folder(tmp_path, [])) as monitor:
        families = {family.name: family for family in text_string_to_metric_families(openmetrics(monitor))}
    assert all(sample.value == 0 for sample in families["harness_monitor_evaluated"].samples)
    assert families["harness_monitor_value"].samples == []


def test_state_says_which_actions_are_in_force(root):
    state = json.loads((root / "monitor" / "state.json").read_text())
    assert state["state"] == "ALERT"
    assert [(alert["id"], alert["since"]) for alert in state["alerts"]] == [("p99", "2026-01-01T19:00:00Z")]


class Tags(HTMLParser):
    """Checks that tags nest, and that nothing is fetched or run."""

    VOID = frozenset({"meta", "br", "line", "rect", "circle", "polyline", "path"})

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attributes):
        assert tag not in ("script", "link", "iframe", "img")
        assert not any(name in ("src", "href") or name.startswith("on") for name, _ in attributes)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in self.VOID

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_fetches_nothing_and_escapes(monitor):
    html = render_page(monitor)
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    text = " ".join(" ".join(tags.text).split())
    assert 'say "scale <up>"\\ now' in text
    assert "1 alert raised" in text
    assert "a.jsonl:" in text
    assert "half-written last line" in text
    assert "<script>" not in html
    assert "5,865,000" in text


def test_the_page_of_a_monitor_without_windows(tmp_path):
    with Monitor.opened(folder(tmp_path, [])) as monitor:
        html = render_page(monitor)
    assert "NOT EVALUATED" in html
    assert "No window judged yet" in html


def test_charts_have_a_text_alternative_and_shade_the_alert(root):
    html = (root / "monitor" / "status.html").read_text()
    assert html.count('role="img"') == html.count("<title>") - 1 > 5
    assert 'opacity="0.10"' in html


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def receiver():
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    server.bodies, server.answer = [], 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_alerts_are_posted_once_and_again_where_the_receiver_failed(tmp_path, receiver):
    slow = [report(f"t{n}", 6 + n / 12, latency_s=90.0) for n in range(30)]
    url = f"http://127.0.0.1:{receiver.server_port}/alerts"
    path = folder(tmp_path, steady(6) + slow, {"webhooks": [{"url": url}]})

    def run():
        with Monitor.opened(path) as monitor:
            monitor.advance()
            monitor.webhooks.post()
            return monitor.webhooks.failures

    receiver.answer = 503
    assert run() == {url: "HTTPError"}
    receiver.answer = 200
    assert run() == {}
    assert run() == {}
    assert len(receiver.bodies) == 2
    assert receiver.bodies[0] == receiver.bodies[1]
    assert receiver.bodies[1]["id"] == "p99"
    assert receiver.bodies[1]["event"] == "raised"
    assert receiver.bodies[1]["action"] == "scale up"


def test_what_cannot_be_evaluated_and_silence_are_posted_too(tmp_path, receiver):
    receiver.answer = 200
    url = f"http://127.0.0.1:{receiver.server_port}/alerts"
    records = steady(12) + steady(12, prefix="t", seed=2, first=12, embedding=None)
    live = {"path": "production", "lateness_min": 10}
    path = folder(tmp_path, records, {"webhooks": [{"url": url}], "stream": live})
    for _ in range(2):
        with Monitor.opened(path) as monitor:
            monitor.advance()
            monitor.webhooks.post()
    posted = [(body["id"], body["event"]) for body in receiver.bodies]
    assert posted == [("data-drift", "not evaluated"), ("silence", "not evaluated")]


def test_an_unreachable_webhook_stops_nothing(tmp_path):
    slow = [report(f"t{n}", 6 + n / 12, latency_s=90.0) for n in range(30)]
    path = folder(tmp_path, steady(6) + slow, {"webhooks": [{"url": "http://127.0.0.1:9/x"}]})
    with Monitor.opened(path) as monitor:
        monitor.advance()
        monitor.webhooks.post()
        assert list(monitor.webhooks.failures) == ["http://127.0.0.1:9/x"]
        assert "webhook not reached" in render_page(monitor)
