"""The card of a package, for a person."""

from __future__ import annotations

from harness.deployment.manifest import MANIFEST, Manifest


def package_card(manifest: Manifest) -> str:
    """The card as Markdown."""
    config = manifest.config
    parts = [("Vision, projection, finding head", graph) for graph in manifest.vision]
    parts.append(("Language model", manifest.language))
    lines = [
        f"# {manifest.source_name}, exported",
        "",
        f"Made by `harness export` from the checkpoint `{manifest.source_name}` (content digest "
        f"`{manifest.source}`, weights {manifest.source_size:,} bytes). {MANIFEST} says the rest.",
        "",
        "Not a medical device. Before it writes a report for anyone: `harness parity` against its "
        "checkpoint, and the regulatory suite.",
        "",
        "| Part | File | Precision | Bytes | Why |",
        "|---|---|---|---:|---|",
        *(
            f"| {part} | {graph.file} | {graph.precision} | {graph.size:,} | {graph.why} |"
            for part, graph in parts
        ),
        "",
        f"Pictures: {', '.join(config.views)}, {config.image_size} x {config.image_size}, grey; "
        f"beams {config.beams}; at most {config.max_new_tokens} tokens. Bounding boxes are not made: "
        "they need gradients, which these graphs do not have.",
        "",
        f"ONNX opset {manifest.opset}; "
        + ", ".join(f"{name} {number}" for name, number in manifest.versions.items())
        + ". Greatest difference of the float32 graphs from torch: "
        + ", ".join(f"{name} {value:.1e}" for name, value in manifest.deviation.items())
        + ".",
        "",
    ]
    return "\n".join(lines)
