import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from harness import plugins
from harness.errors import PluginError


def test_what_is_installed_is_listed_without_being_imported():
    code = (
        "import sys; from harness.plugins import installed\n"
        "print(sorted(installed('candidates')), sorted(installed('measures')))\n"
        "print([m for m in sys.modules if m.startswith(('harness.candidates', 'torch', 'pandas'))])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names, imported = told.splitlines()
    assert "'template'" in names
    assert "'critical_sensitivity'" in names
    assert imported == "[]"


@pytest.mark.parametrize("kind", ["candidates", "cohorts", "annotators", "measures"])
def test_every_entry_point_loads(kind):
    assert [plugins.load(kind, name) for name in plugins.installed(kind)]


def broken(monkeypatch, target):
    point = EntryPoint("mine", target, "harness.measures")
    monkeypatch.setattr(plugins, "installed", lambda kind: {"mine": point})


def test_an_unknown_name_brings_the_nearest():
    with pytest.raises(PluginError, match="templat: no such candidate; did you mean template"):
        plugins.load("candidates", "templat")
    with pytest.raises(PluginError, match=r"Installed: .*template"):
        plugins.load("candidates", "zzz")


def test_a_broken_plugin_is_an_error_with_its_cause(monkeypatch):
    broken(monkeypatch, "not_a_module_at_all:Thing")
    with pytest.raises(PluginError, match=r"measure mine .* does not load: No module named"):
        plugins.load("measures", "mine")
    broken(monkeypatch, "harness.measures.bleu:Absent")
    with pytest.raises(PluginError, match="AttributeError"):
        plugins.load("measures", "mine")


def test_a_missing_package_names_the_extra(monkeypatch):
    broken(monkeypatch, "harness.candidates.vit:VitClassifier")

    def no_torch(self):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(EntryPoint, "load", no_torch)
    with pytest.raises(PluginError, match=r'pip install "harness\[models\]"'):
        plugins.load("measures", "mine")
