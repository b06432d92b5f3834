from harness.cli import main
from runs import SUITES


def test_says_what_cannot_be_decided(phantom_root, capsys):
    assert main(["plan", str(SUITES / "regulatory.yaml"), "--cohort", f"phantom:{phantom_root}"]) == 3
    out = capsys.readouterr().out
    assert "sensitivity-pneumothorax" in out
    assert "The suite asks for 2,000 studies" in out


def test_what_can_be_decided_ends_with_0(tmp_path, phantom_root, capsys):
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "name: s\nversion: 1\nmeasures: [failure_rate]\n"
        "criteria: [{id: failures, measure: failure_rate, below: 0.2}]\n"
    )
    assert main(["plan", str(suite), "--cohort", f"phantom:{phantom_root}"]) == 0
    assert "yes" in capsys.readouterr().out


def test_a_bad_suite_is_bad_usage(tmp_path, phantom_root):
    assert main(["plan", str(tmp_path / "none.yaml"), "--cohort", f"phantom:{phantom_root}"]) == 2
