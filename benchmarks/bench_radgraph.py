"""RadGraph beside the package's own inference, in one run, with a BERT-base-sized random checkpoint.

    python benchmarks/bench_radgraph.py [--reports 32]

The weights are random but small, so that few spans are called entities, as in real reports; what is
timed does not depend on them otherwise. Also: 4,000 short phantom texts through the small shipped
checkpoint. Exits with 1 if the graphs differ or the ratio to the package is below its floor.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures"))

import torch
from train_radgraph import described
from transformers import BertConfig

from harness.annotators.radgraph import PhantomRadGraph, RadGraph
from harness.annotators.radgraph_model import build_dygie
from harness.annotators.radgraph_weights import Checkpoint
from harness.data_files import data_path

REPEATS = 3
FLOOR = {"cpu": 1.5, "cuda": 8.0}


def write_checkpoint(root: Path) -> Path:
    """A radgraph-xl folder with BERT-base's sizes, the published spans and layers, random weights."""
    folder = root / "radgraph-xl"
    shutil.copytree(data_path("checkpoints") / "phantom-radgraph", folder)
    encoder = folder / "encoder"
    small = json.loads((encoder / "config.json").read_text())
    BertConfig(vocab_size=small["vocab_size"]).save_pretrained(encoder)
    config = json.loads((folder / "config.json").read_text())
    bert = {"model_name": str(encoder), "max_length": 512}
    config["dataset_reader"] |= {"max_span_width": 12, "token_indexers": {"bert": bert}}
    model = config["model"]
    model["embedder"]["token_embedders"]["bert"] = bert
    model["modules"]["relation"]["spans_per_word"] = 0.5
    model |= {
        "max_span_width": 12,
        "feedforward_params": {"num_layers": 2, "hidden_dims": 150, "dropout": 0.4},
    }
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    network, _ = build_dygie(Checkpoint(folder, encoder))
    scorer = next(iter(network._ner._ner_scorers.values()))[-1]._module
    with torch.no_grad():
        scorer.bias -= 0.1  # most spans are nothing
    torch.save(network.state_dict(), folder / "weights.th")
    return folder


def timed(work: Any) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--reports", type=int, default=32)
    options = parser.parse_args()
    import radgraph

    source = described(99)
    texts = [next(source)[0] for _ in range(4000)]
    short = list(dict.fromkeys(text for text in texts if len(text.split()) > 20))[: 2 * options.reports]
    # Phantom reports are short; two of them are as long as the usual report of a hospital.
    sets = [short[: options.reports], [f"{a}\n{b}" for a, b in zip(short[::2], short[1::2], strict=True)]]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ratios = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_checkpoint(Path(temporary))
        package = radgraph.RadGraph(model_type="radgraph-xl", model_cache_dir=temporary)
        ours = RadGraph("radgraph-xl", str(folder))
        for annotator in (package, ours.annotate):
            annotator(short[:2])  # loads and warms up
        for some in sets:
            # In turns, and the faster of each: other work on the machine must not decide.
            turns = [(timed(lambda some=some: package(some)), timed(lambda some=some: ours.annotate(some)))
                     for _ in range(REPEATS)]  # fmt: skip
            theirs_s, ours_s = (min(turn[side][0] for turn in turns) for side in (0, 1))
            theirs, graphs = turns[0][0][1], turns[0][1][1]
            same = all(
                graph == {key: theirs[str(number)][key] for key in ("text", "entities")}
                for number, graph in enumerate(graphs)
            )
            words = sum(len(text.split()) for text in some) / len(some)
            print(f"{len(some)} reports of {words:.0f} words on {device}, {torch.get_num_threads()} threads")
            print(f"  package   {len(some) / theirs_s:8.1f} reports a second")
            print(f"  harness   {len(some) / ours_s:8.1f} reports a second, {theirs_s / ours_s:.2f} times as "
                  f"fast, graphs {'identical' if same else 'DIFFERENT'}")  # fmt: skip
            ratios.append(theirs_s / ours_s if same else 0.0)
    phantom = PhantomRadGraph()
    phantom.annotate(texts[:2])
    seconds, _ = timed(lambda: phantom.annotate(texts))
    print(f"{len(texts):,} phantom texts through the shipped checkpoint: {seconds:.1f} s")
    return 0 if min(ratios) >= FLOOR[device] else 1


if __name__ == "__main__":
    sys.exit(main())
