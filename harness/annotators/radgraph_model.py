"""The package's RadGraph network, run over many reports at once.

The package reads one report a pass, whatever batch size it is given. Here its own modules, with its
own weights, see the words, spans and span pairs of many reports as one list without padding; only
the encoder's rows are padded. The first layer over a span is applied to its words, and over a pair
to its spans, before they are put together: the same sums, done once instead of once a span or pair.
Labels are those of the package but where two scores differ by less than rounding.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from harness.annotators.base import Graph
from harness.annotators.batches import groups
from harness.annotators.radgraph_weights import Checkpoint, Model
from harness.errors import NotEvaluable

_WORDS_AT_ONCE: Final = 3072
_PAIRS_AT_ONCE: Final = 8192
_ROW_TOKENS: Final = 4096
"""Wordpieces of one pass of the encoder, padding included."""
_JOINED_WORDS: Final = 2048
_PART_WORDS: Final = 128
"""Reports of more words than `_JOINED_WORDS` are parsed in parts of so many: pairs of spans grow with the
square of the length, and a report of a book's length must not hold up a run for days."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spans:
    """Candidate spans of some reports, as one list; by report, then start, then end."""

    report: Ints
    start: Ints
    """Index of the first word, counted through all reports; `end`: of the last."""
    end: Ints


@dataclass(frozen=True, slots=True)
class Scores:
    """What the network says of spans and of pairs of the spans that it kept."""

    entities: torch.Tensor
    """Shape (spans, labels); column 0 is "no entity"."""
    kept: Ints
    """Indices of kept spans, ascending."""
    first: Ints
    """Index into `kept` of each pair's subject; `second`: of its object."""
    second: Ints
    relations: list[torch.Tensor]
    """Chunks of shape (pairs, labels), in the order of `first`; column 0 is "no relation"."""


class Network:
    """A checkpoint, loaded."""

    def __init__(self, checkpoint: Checkpoint, model: Model) -> None:
        """Loads weights and nothing else: a pickle with code in it is refused.

        Raises:
            NotEvaluable: the files do not fit each other or the package.
        """
        self.model_type = model
        self.window = checkpoint.window
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            state = torch.load(checkpoint.folder / "weights.th", map_location="cpu", weights_only=True)
            self.dygie, self.tokenizer = build_dygie(checkpoint)
            self.dygie.load_state_dict(state, strict=True)
            self.entity_labels = self._labels("ner_labels")
            self.relation_labels = self._labels("relation_labels")
        except ImportError as error:
            raise NotEvaluable(f'RadGraph needs {error.name}: pip install "harness[models]"') from None
        except Exception as error:  # whatever a damaged file makes torch or the package raise
            raise NotEvaluable(
                f"{checkpoint.folder}: cannot be loaded as {model}: {type(error).__name__}; fetch it anew"
            ) from None
        if self.dygie._coref.coref_prop > 0:
            raise NotEvaluable(
                f"{checkpoint.folder}: spans are changed by coreference, which is not supported"
            )
        self.dygie.eval().to(self.device)
        self._pieces: dict[str, list[int]] = {}
        self._before, self._after = _special_pieces(self.tokenizer)
        self._added = len(self._before) + len(self._after)

    def _labels(self, kind: str) -> list[str]:
        vocabulary = self.dygie.vocab
        labels = vocabulary.get_index_to_token_vocabulary(f"{self.model_type}__{kind}")
        return [labels[index] for index in range(len(labels))]

    # Reports to graphs

    def words(self, text: str) -> list[str]:
        """A report's words, as the package parts them for this model type."""
        from radgraph.utils import preprocess_reports

        words: list[str] = preprocess_reports([text], self.model_type)[0]["sentences"][0]
        return words

    def wordpieces(self, words: Sequence[str]) -> int:
        """How long a report is for the encoder, special wordpieces included."""
        return sum(map(len, self._pieces_of(words))) + self._added

    @torch.inference_mode()
    def parse(self, reports: Sequence[Sequence[str]]) -> list[Graph]:
        """The graphs of reports, given as words; none may be without words."""
        parts = [
            (number, list(words[start : start + size]))
            for number, words in enumerate(reports)
            for size in (_PART_WORDS if len(words) > _JOINED_WORDS else _JOINED_WORDS,)
            for start in range(0, len(words), size)
        ]
        found: list[tuple[list[Any], list[Any]]] = [([], [])] * len(parts)
        for group in groups([len(words) for _, words in parts], _WORDS_AT_ONCE):
            for index, one in zip(group, self._parse_parts([parts[i][1] for i in group]), strict=True):
                found[index] = one
        graphs: list[dict[str, Any]] = [{"text": " ".join(words), "entities": {}} for words in reports]
        offsets = [0] * len(reports)
        for (number, words), (entities, relations) in zip(parts, found, strict=True):
            _add_entities(graphs[number], words, offsets[number], entities, relations)
            offsets[number] += len(words)
        return list(graphs)

    def _parse_parts(self, parts: Sequence[list[str]]) -> list[tuple[list[Any], list[Any]]]:
        """Entities (start, end, label) and relations (subject, object, label) of each part."""
        lengths = np.array([len(words) for words in parts])
        firsts = np.concatenate([[0], np.cumsum(lengths)])
        spans = self.spans(lengths)
        scores = self.scores(self.embed(parts), lengths, spans)
        found: list[tuple[list[Any], list[Any]]] = [([], []) for _ in parts]
        labels = scores.entities.argmax(dim=1).cpu().numpy()

        def place(span: np.intp) -> tuple[int, int]:
            first = firsts[spans.report[span]]
            return int(spans.start[span] - first), int(spans.end[span] - first)

        for span in np.flatnonzero(labels):
            found[spans.report[span]][0].append((*place(span), self.entity_labels[labels[span]]))
        begin = 0
        for chunk in scores.relations:
            kinds = chunk.argmax(dim=1).cpu().numpy()
            subjects, targets = (
                scores.kept[side[begin : begin + len(kinds)]] for side in (scores.first, scores.second)
            )
            # The package drops relations of spans that are no entities.
            for pair in np.flatnonzero((kinds > 0) & (labels[subjects] > 0) & (labels[targets] > 0)):
                relation = (
                    place(subjects[pair]),
                    place(targets[pair]),
                    self.relation_labels[kinds[pair] - 1],
                )
                found[spans.report[subjects[pair]]][1].append(relation)
            begin += len(kinds)
        return found

    # The network

    def spans(self, lengths: Ints) -> Spans:
        """All spans up to the model's width, of reports of so many words."""
        last = np.repeat(np.cumsum(lengths), lengths)
        start = np.arange(len(last))
        widths = np.minimum(self.dygie._max_span_width, last - start)
        starts = np.repeat(start, widths)
        within = np.arange(len(starts)) - np.repeat(np.cumsum(widths) - widths, widths)
        report = np.repeat(np.arange(len(lengths)), lengths)
        return Spans(report[starts], starts, starts + within)

    def embed(self, parts: Sequence[Sequence[str]]) -> torch.Tensor:
        """One vector a word, the mean of its wordpieces', shape (words of all parts, width).

        A part longer than the encoder is read in windows side by side, as the package does.
        """
        pieces = [self._pieces_of(words) for words in parts]
        size = self.window - self._added
        windows = [
            flat[start : start + size]
            for flat in ([piece for word in words for piece in word] for words in pieces)
            for start in range(0, len(flat), size)
        ]
        counts = torch.tensor([len(word) for words in pieces for word in words], device=self.device)
        encoder = self.dygie._embedder.token_embedder_bert._matched_embedder.transformer_model
        rows: list[torch.Tensor] = [torch.empty(0)] * len(windows)
        for chosen in groups([len(window) + self._added for window in windows], _ROW_TOKENS):
            width = max(len(windows[index]) for index in chosen) + self._added
            ids = np.full((len(chosen), width), self.tokenizer.pad_token_id or 0)
            for row, index in enumerate(chosen):
                ids[row, : len(windows[index]) + self._added] = [
                    *self._before, *windows[index], *self._after,
                ]  # fmt: skip
            full = np.array([len(windows[index]) + self._added for index in chosen])
            mask = np.arange(width) < full[:, None]
            hidden = encoder(
                input_ids=torch.from_numpy(ids).to(self.device),
                attention_mask=torch.from_numpy(mask).float().to(self.device),
            )[0]
            for row, index in enumerate(chosen):
                begin = len(self._before)
                rows[index] = hidden[row, begin : begin + len(windows[index])]
        words = torch.zeros(
            len(counts),
            encoder.config.hidden_size,
            device=self.device,
            dtype=next(encoder.parameters()).dtype,
        )
        if rows:
            owner = torch.repeat_interleave(torch.arange(len(counts), device=self.device), counts)
            words = words.index_add(0, owner, torch.cat(rows))
        return words / counts.clamp_min(1)[:, None]

    def scores(self, words: torch.Tensor, lengths: Ints, spans: Spans) -> Scores:
        """Scores of all spans, and of all pairs of those that the model's pruner keeps."""
        extractor, relation = self.dygie._endpoint_span_extractor, self.dygie._relation
        widths = extractor._span_width_embedding.weight
        start, end = (torch.from_numpy(side).to(words.device) for side in (spans.start, spans.end))

        def over_spans(scorer: Any) -> torch.Tensor:
            """A feed-forward scorer over all spans, its first layer over words."""
            network, last = scorer[0]._module, scorer[1]._module
            first = network._linear_layers[0]
            left, right, width = first.weight.split([words.shape[1], words.shape[1], widths.shape[1]], dim=1)
            hidden = (words @ left.T)[start] + (words @ right.T)[end]
            hidden = hidden + torch.addmm(first.bias, widths, width.T)[end - start]
            result: torch.Tensor = last(_after_first(network, hidden))
            return result

        entities = over_spans(self.dygie._ner._ner_scorers[f"{self.model_type}__ner_labels"])
        entities = torch.cat([entities.new_zeros(len(entities), 1), entities], dim=1)
        namespace = f"{self.model_type}__relation_labels"
        mentions = over_spans(relation._mention_pruners[namespace]._scorer)[:, 0]
        wanted = torch.ceil(torch.from_numpy(lengths).float() * relation._spans_per_word).long().numpy()
        kept, sizes = _best(mentions.detach().cpu().numpy(), spans.report, np.maximum(wanted, 1))
        chosen = torch.from_numpy(kept).to(words.device)
        vectors = torch.cat([words[start[chosen]], words[end[chosen]], widths[(end - start)[chosen]]], dim=1)
        subject, target = _pairs(sizes)

        network, scorer = relation._relation_feedforwards[namespace], relation._relation_scorers[namespace]
        one, two, both = network._linear_layers[0].weight.chunk(3, dim=1)
        ones = torch.addmm(network._linear_layers[0].bias, vectors, one.T)
        twos = vectors @ two.T
        chunks = []
        for begin in range(0, len(subject), _PAIRS_AT_ONCE):
            i, j = (
                torch.from_numpy(side[begin : begin + _PAIRS_AT_ONCE]).to(words.device)
                for side in (subject, target)
            )
            hidden = ones[i] + twos[j] + (vectors[i] * vectors[j]) @ both.T
            scored = scorer(_after_first(network, hidden))
            scored = scored + (mentions[chosen][i] + mentions[chosen][j])[:, None]
            chunks.append(torch.cat([scored.new_zeros(len(scored), 1), scored], dim=1))
        return Scores(entities, kept, subject, target, chunks)

    def _pieces_of(self, words: Sequence[str]) -> list[list[int]]:
        """The wordpieces of each word on its own, as the package cuts them."""
        # The package's reader writes these two as plain marks.
        plain = [word[1:] if word in ("/.", "/?") else word for word in words]
        new = sorted({word for word in plain if word not in self._pieces})
        if new:
            found = self.tokenizer(new, add_special_tokens=False, verbose=False)["input_ids"]
            if len(self._pieces) > 200_000:
                self._pieces.clear()
                return self._pieces_of(words)
            self._pieces.update(zip(new, found, strict=True))
        return [self._pieces[word] for word in plain]


def build_dygie(checkpoint: Checkpoint) -> tuple[Any, Any]:
    """The package's network with random weights, as its own loader builds it, and its tokenizer."""
    # The package prints as it is imported, and switches warnings on for everybody.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from radgraph.allennlp.data import Vocabulary
        from radgraph.allennlp.modules import text_field_embedders, token_embedders
        from radgraph.dygie.models import dygie

    from transformers import AutoTokenizer

    config = checkpoint.config
    with tempfile.TemporaryDirectory() as copy:  # the package writes a lock file beside the labels
        shutil.copytree(checkpoint.folder / "vocabulary", copy, dirs_exist_ok=True)
        options = config.get("vocabulary", {})
        vocabulary = Vocabulary.from_files(copy, options.get("padding_token"), options.get("oov_token"))
    embedder = text_field_embedders.BasicTextFieldEmbedder(
        {
            "bert": token_embedders.PretrainedTransformerMismatchedEmbedder(
                model_name=str(checkpoint.encoder),
                max_length=config["model"]["embedder"]["token_embedders"]["bert"].get("max_length"),
            )
        }
    )
    left_out = ("type", "embedder", "initializer", "module_initializer")
    settings = {key: value for key, value in config["model"].items() if key not in left_out}
    network = dygie.DyGIE(vocab=vocabulary, embedder=embedder, **settings)
    return network, AutoTokenizer.from_pretrained(str(checkpoint.encoder), use_fast=True)


def _special_pieces(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What a tokenizer puts before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    begin = next(place for place in range(len(whole)) if whole[place : place + len(bare)] == bare)
    return whole[:begin], whole[begin + len(bare) :]


def _after_first(network: Any, hidden: torch.Tensor) -> torch.Tensor:
    """A feed-forward network from the sums of its first layer on."""
    layers = zip(network._linear_layers, network._activations, network._dropout, strict=True)
    for number, (layer, activation, dropout) in enumerate(layers):
        hidden = dropout(activation(layer(hidden) if number else hidden))
    return hidden


def _best(scores: NDArray[np.float32], report: Ints, wanted: Ints) -> tuple[Ints, Ints]:
    """The indices, ascending, of each report's best spans, and how many each report has."""
    order = np.lexsort((-scores, report))
    sizes = np.bincount(report, minlength=len(wanted))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = order[rank < np.repeat(wanted, sizes)]
    return np.sort(kept), np.minimum(wanted, sizes)


def _pairs(sizes: Ints) -> tuple[Ints, Ints]:
    """All ordered pairs within groups of consecutive items, row by row."""
    first = np.repeat(np.arange(sizes.sum()), np.repeat(sizes, sizes))
    begin = np.repeat(np.cumsum(sizes) - sizes, sizes * sizes)
    within = np.arange(len(first)) - np.repeat(np.cumsum(sizes**2) - sizes**2, sizes**2)
    return first, begin + within % np.repeat(sizes, sizes**2)


def _add_entities(
    graph: dict[str, Any],
    words: Sequence[str],
    offset: int,
    entities: Sequence[tuple[int, int, str]],
    relations: Sequence[tuple[tuple[int, int], tuple[int, int], str]],
) -> None:
    """Adds a part's entities, and the relations between them, in the package's order and form."""
    known = len(graph["entities"])
    names = {(start, end): str(known + number) for number, (start, end, _) in enumerate(entities, 1)}
    for start, end, label in entities:
        graph["entities"][names[start, end]] = {
            "tokens": " ".join(words[start : end + 1]),
            "label": label,
            "start_ix": offset + start,
            "end_ix": offset + end,
            "relations": [],
        }
    for subject, target, kind in relations:
        graph["entities"][names[subject]]["relations"].append([kind, names[target]])
