"""Several processes, as `accelerate launch` starts them: here two on processors, through gloo."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
SCRIPT = """
import json, sys
sys.path[:0] = [{tests!r}, {here!r}]
from pathlib import Path
import numpy as np
from accelerate import PartialState
from small_training import Desk
from harness.training import loop
processes = PartialState(cpu=True).num_processes
loop.Sampler.steps = 2
order = np.arange(16).reshape(2, 4, 2)
loop.Sampler.epoch = lambda self, stage, epoch: [list(step) for step in order]
optimiser = dict(batch=2, accumulate=4 // processes, precision="float32", weight_decay=0.01)
work = Desk(Path({root!r}), Path({vit!r}), optimiser=optimiser)
folder = Path({folder!r}) / str(processes)
history = loop.train_two_stage(*work.parts, folder=folder)
rows = [[e.train_loss, e.train_report_loss, e.validation_loss, e.gradient_norm] for e in history.epochs]
if PartialState().is_main_process:
    (folder / "rows.json").write_text(json.dumps([processes, rows, work.model.config.thresholds]))
"""


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(small_root, vit, tmp_path):
    script = tmp_path / "script.py"
    places = {"tests": HERE.parent, "here": HERE, "root": small_root, "vit": vit, "folder": tmp_path}
    script.write_text(SCRIPT.format(**{name: str(path) for name, path in places.items()}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    plain = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
    shared = {**plain, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    running = [
        subprocess.Popen([sys.executable, str(script)], env=env, stderr=subprocess.PIPE, text=True)
        for env in (plain, *ranks)
    ]
    for process in running:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-2000:]
    one, two = (json.loads((tmp_path / str(n) / "rows.json").read_text()) for n in (1, 2))
    assert (one[0], two[0]) == (1, 2)
    np.testing.assert_allclose(one[1], two[1], rtol=2e-4)
    assert one[2] == two[2]
