"""What is shipped: the wheel holds everything, and scoring needs neither torch nor a PDF engine."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    code = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(out)], cwd=ROOT, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_the_wheel_carries_suites_templates_and_checkpoints(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, packed in (
        ("suites", "suites"),
        ("reports", "reports"),
        ("fixtures/checkpoints", "checkpoints"),
    ):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file():
                assert f"harness/_data/{packed}/{path.relative_to(ROOT / folder).as_posix()}" in names
    for path in (ROOT / "harness").rglob("*.yaml"):
        assert path.relative_to(ROOT).as_posix() in names
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)


def test_from_the_wheel_alone_files_are_scored_without_torch_and_pdf_engine(wheel, tmp_path):
    """Runs from the unpacked wheel, with the heavy packages made impossible to import."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    manifest = ["study_id,patient_id,findings,Pneumothorax"]
    predictions = ["study_id,report"]
    for n in range(10):
        words = f"Left pneumothorax of {n} cm." if n % 2 else f"Clear lungs on film {n}."
        manifest.append(f"s{n},p{n},{words},{n % 2}")
        predictions.append(f"s{n},{words}")
    (tmp_path / "m.csv").write_text("\n".join(manifest))
    (tmp_path / "p.csv").write_text("\n".join(predictions))
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path / "site")!r})
class Absent:
    names = {{"torch", "transformers", "weasyprint", "jinja2", "safetensors", "radgraph"}}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import harness
assert harness.__file__.startswith({str(tmp_path)!r}), harness.__file__
from harness.cli import main
from harness.data_files import data_path
assert "site" in str(data_path("suites"))
code = main(["run", str(data_path("suites") / "reports.yaml"), "--cohort", "manifest:m.csv",
             "--candidate", "predictions:p.csv", "--out", "run"])
assert code == 3, code
assert main(["report", "run"]) == 2
"""
    script = tmp_path / "script.py"
    script.write_text(f"if __name__ == '__main__':\n    exec({code!r})\n")
    result = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert 'pip install "harness[pdf]"' in result.stderr


def test_the_constraints_pin_what_the_project_asks_for():
    pinned = {
        line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    assert {"torch", "numpy", "scipy", "pandas", "pyarrow", "transformers", "weasyprint", "pytest"} <= pinned
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text()
