"""Checkpoints and packages of the tiny multimodal model, for tests."""

import json
import shutil

import numpy as np
from PIL import Image as Pillow

from harness.deployment import DeploymentConfig, prepare_for_deployment
from harness.deployment.manifest import Manifest, write_manifest
from harness.digests import digest_file
from harness.study import Context, Image, Sex, Study, View
from tiny_multimodal import network, tiny_tokenizer


def make_checkpoint(folder, kind="llama", **changes):
    model = network(kind, **changes)
    model.save_pretrained(folder, tiny_tokenizer())
    return model


def make_package(model, checkpoint, out, language="fp32", **options):
    return prepare_for_deployment(
        model, DeploymentConfig(checkpoint=checkpoint, out=out, language=language, **options)
    )


def resealed(package, out, change=lambda record: None):
    """A copy of a package with a changed manifest that is whole again: a fault that digests do not show."""
    shutil.copytree(package, out)
    record = json.loads((out / "manifest.json").read_text())
    record.pop("digest")
    change(record)
    record["files"] = {name: digest_file(out / name) for name in record["files"]}
    write_manifest(out, Manifest.model_validate(record))
    return out


def study_of(folder, *views, seed=0):
    values = np.random.default_rng(seed)
    images = []
    for number, view in enumerate(views or (View.PA, View.LATERAL)):
        path = folder / f"{seed}-{number}.png"
        Pillow.fromarray(values.integers(0, 255, (40, 60), dtype=np.uint8)).save(path)
        images.append(Image(path, view))
    return Study(f"study-{seed}", tuple(images), Context(63, Sex.FEMALE, "Cough."))
