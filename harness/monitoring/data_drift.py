"""Whether the pictures that come in are those the model was validated on: embeddings, MMD, clusters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2, vq
from scipy.stats import chi2_contingency

from harness.inference.keyed_random import cluster_keys, keyed_bits
from harness.inference.mmd import block_mmd, median_bandwidth, mmd_test, null_mmd, witness
from harness.monitoring.config import DataDriftPart
from harness.monitoring.counts import count
from harness.monitoring.records import Record
from harness.monitoring.rules import State, doubt, doubted

EXAMPLES: Final = 5
_BLOCK_NULLS: Final = 500
_REFERENCE: Final = 500
"""Of a larger reference so many are compared with all pairs: more hardly narrow the null distribution."""
_POOL: Final = 2000
"""Of a larger reference null windows of all pairs come from so many: the kernel of all is held at once."""
Floats = NDArray[np.float64]


class DataDrift:
    """The reference's embeddings, and the threshold for windows of the size that is deployed.

    Half of the reference is what windows are compared with; from the other half come null windows of the
    same size, and the threshold is their 1 - alpha quantile. So it holds for this very reference, not
    for the average one. A period drifts when it is above the threshold and the permutation test agrees.
    """

    def __init__(self, embeddings: Floats, part: DataDriftPart, alpha: float, seed: int) -> None:
        self.part, self.seed = part, seed
        self.alpha = alpha ** (1 / part.consecutive)
        """Of one look: so many in a row raise the alarm, and windows share no study."""
        self.reason = ""
        """Why nothing can be judged; empty where it can."""
        n = part.sample
        if len(embeddings) < 4 * n:
            self.reason = (
                f"the reference has {len(embeddings):,} embeddings; windows of {n:,} need {4 * n:,}: "
                "half to compare with, half for null windows"
            )
            return
        order = np.argsort(keyed_bits(cluster_keys(range(len(embeddings)), seed, "reference"), 0, 1)[0])
        shuffled = embeddings[order]
        half = len(shuffled) // 2
        self.blocks = n > part.all_pairs_up_to
        most = half if self.blocks else min(half, max(_REFERENCE, n))
        pool = len(shuffled) if self.blocks else half + max(_POOL, 4 * n)
        self.reference, self.pool = shuffled[:most], shuffled[half:pool]
        try:
            self.bandwidth = median_bandwidth(self.reference)
        except ValueError as error:
            self.reason = f"the reference's embeddings: {error}"
            return
        self.block = max(2, math.isqrt(n))
        self.nulls = self._nulls()
        rank = math.ceil((len(self.nulls) + 1) * (1 - self.alpha))
        if rank > len(self.nulls):
            self.reason = (
                f"{len(self.nulls)} null windows are too few for a false-alarm rate of {self.alpha:.2g}"
            )
            return
        self.threshold = float(self.nulls[rank - 1])
        rng = np.random.default_rng([seed, 7])
        self.centres, labels = kmeans2(shuffled, part.clusters, minit="++", seed=rng)
        self.composition = np.bincount(labels, minlength=part.clusters)

    def judge(self, records: Sequence[Record]) -> dict[str, Any]:
        """One period, as plain values.

        Args:
            records: all of the period. Of those with a usable embedding `sample` are compared, chosen
                by a hash of the study. Where more than a small share of reports has none, the others may
                show that pictures moved, and never that they did not.
        """
        usable = [record for record in records if record.embedding is not None]
        told: dict[str, Any] = {"state": str(State.NOT_EVALUATED), "embeddings": len(usable)}
        if self.reason:
            return {**told, "reason": self.reason}
        if len(usable) < self.part.sample:
            reports = sum(not record.reading for record in records)
            what = (
                f"{len(usable):,} usable embeddings of {reports:,} reports; {self.part.sample:,} are needed"
            )
            return {**told, "reason": what}
        chosen = sorted(usable, key=lambda record: record.key)[: self.part.sample]
        vectors = np.stack([record.embedding for record in chosen if record.embedding is not None])
        if self.blocks:
            test = block_mmd(self.reference, vectors, self.bandwidth, self.block)
        else:
            test = mmd_test(self.reference, vectors, self.bandwidth, self.part.permutations, self.seed)
        if math.isnan(test.statistic):
            return {**told, "reason": f"MMD is undefined: {test.reason}"}
        drifted = test.statistic > self.threshold and test.p_value <= self.alpha
        composition = np.bincount(vq(vectors, self.centres)[0], minlength=self.part.clusters)
        kept = (composition + self.composition) > 0
        table = np.stack([composition, self.composition])[:, kept]
        far = np.argsort(-witness(vectors, self.reference, vectors, self.bandwidth))[:EXAMPLES]
        counted = count(records)
        due = counted["reports"] - counted["failed"]
        why = doubt(counted["unembedded"], due, "a usable embedding", {})
        found = {
            "state": str(State.ALERT if drifted else State.QUIET),
            "embeddings": len(usable),
            "mmd": test.statistic,
            "threshold": self.threshold,
            "p_value": test.p_value,
            "method": test.method,
            "reason": f"MMD² {test.statistic:.4f} is {'above' if drifted else 'not shown above'} "
            f"{self.threshold:.4f}, p = {test.p_value:.2g}",
            "clusters": composition.tolist(),
            "clusters_p_value": float(chi2_contingency(table, correction=False).pvalue),
            "moved": [str(chosen[place].place) for place in far],
        }
        return doubted(found, f"embeddings are broken: {why}" if why else "")

    def _nulls(self) -> Floats:
        n, windows = self.part.sample, self.part.null_windows
        if not self.blocks:
            return null_mmd(self.reference, self.pool, n, self.bandwidth, windows, self.seed)
        keys = cluster_keys(range(len(self.pool)), self.seed, "blocks")
        found = []
        for window in range(min(windows, _BLOCK_NULLS)):
            order = np.argsort(keyed_bits(keys, window, 1)[0])[:n]
            found.append(block_mmd(self.reference, self.pool[order], self.bandwidth, self.block).statistic)
        # Blocks vary by themselves, hardly by which points of the pool they leave out: nothing to widen.
        nulls: Floats = np.sort(np.asarray(found))
        return nulls
