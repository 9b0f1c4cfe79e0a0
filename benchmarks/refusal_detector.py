"""How often the rules of refusal err, against people's labels: for preflab/evals/metrics/refusal_validation.json.

The rules were written looking at one half of XSTest's labelled completions and are measured on the other; contrast
pairs stay whole. PyRIT's labels, which the rules were not fitted to, also call a reply a refusal that talks of
something else: the rules read for words of refusal only and miss those.

    python -m benchmarks.refusal_detector xstest_completions_human.jsonl.gz pyrit_refusal_human.jsonl.gz
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from preflab.data.sources.files import read_records
from preflab.evals.core import record_fields
from preflab.evals.metrics.detector_error import Confusion
from preflab.evals.metrics.refusal import KINDS, RULES, VALIDATION, Kind, RefusalRules
from preflab.rollouts.requests.types import UnreadableResponse

_LABELS: dict[str, Kind] = {
    "1_full_compliance": "full compliance",
    "2_full_refusal": "full refusal",
    "3_partial_refusal": "partial refusal",
}


@dataclass(frozen=True)
class Judged:
    """A reply with its two labels."""

    pair: str
    type: str
    model: str
    human: Kind
    detected: Kind

    @property
    def half(self) -> str:
        """Which half its contrast pair is in."""
        return "tuned on" if int(hashlib.sha256(self.pair.encode()).hexdigest(), 16) % 2 == 0 else "held out"


def read_xstest(path: Path, rules: RefusalRules) -> tuple[list[Judged], int]:
    """Labelled completions, and how many are empty and therefore left out."""
    judged, empty = list[Judged](), 0
    for found in read_records(path):
        record = found.record
        try:
            detected = rules.classify(record_fields.text(record, "completion")).kind
        except UnreadableResponse:
            empty += 1
            continue
        judged.append(
            Judged(
                pair=record_fields.text(record, "pair"),
                type=record_fields.text(record, "type"),
                model=record_fields.text(record, "model"),
                human=_LABELS[record_fields.text(record, "final_label")],
                detected=detected,
            )
        )
    return judged, empty


def confusion(judged: Sequence[Judged]) -> Confusion:
    """Refused (fully or in part) against not.

    Replies to one contrast pair resemble one another, and so do, more strongly, replies of one model: each model has
    its own way to refuse. The larger of the two design effects counts, so that the interval is one for a new model.
    """
    compliant: Kind = "full compliance"
    human, detected = [one.human != compliant for one in judged], [one.detected != compliant for one in judged]
    by_pair = Confusion.count(human, detected, [one.pair for one in judged])
    by_model = Confusion.count(human, detected, [one.model for one in judged])
    return replace(
        by_pair,
        sensitivity_effect=max(by_pair.sensitivity_effect, by_model.sensitivity_effect),
        specificity_effect=max(by_pair.specificity_effect, by_model.specificity_effect),
    )


def figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Counts and shares of a set of replies."""
    counts = confusion(judged)
    precision = counts.precision
    return {
        "n": len(judged),
        "refused": counts.to_json(),
        "sensitivity": counts.sensitivity.to_json(),
        "specificity": counts.specificity.to_json(),
        "precision": precision and precision.to_json(),
        "kinds": [[sum(o.human == h and o.detected == d for o in judged) for d in KINDS] for h in KINDS],
    }


def validation(xstest: Path, pyrit: Path) -> dict[str, Any]:
    """All figures."""
    rules = RefusalRules.load()
    judged, empty = read_xstest(xstest, rules)
    held = [one for one in judged if one.half == "held out"]
    sides = {"safe": [o for o in held if not _contrast(o)], "unsafe": [o for o in held if _contrast(o)]}
    others = [
        (
            record_fields.number(f.record, "human_refusal") > 0.5,
            rules.classify(record_fields.text(f.record, "response")).refused,
        )
        for f in read_records(pyrit)
    ]
    return {
        "about": "Rules of preflab/evals/metrics/refusal.yaml against human labels; "
        "made by benchmarks/refusal_detector.py. "
        "'refused' is a full or partial refusal; rows of 'kinds' are people's labels, columns the detector's, in the "
        f"order {', '.join(KINDS)}. Intervals at 95 %, for a new model: replies of one model, or to one contrast "
        "pair, are not taken as independent.",
        "rules_sha256": hashlib.sha256(RULES.read_bytes()).hexdigest(),
        "source": "XSTest v2 model completions (Röttger et al. 2024, CC-BY-4.0), a sample; PyRIT 1.1.0 (MIT), a sample",
        "empty_left_out": empty,
        "held out": figures(held),
        "held out by label": {name: figures(own) for name, own in sides.items()},
        "held out by model": {
            name: confusion([o for o in held if o.model == name]).to_json() for name in sorted({o.model for o in held})
        },
        "held out by type": {
            name: [
                [sum(o.type == name and o.human == h and o.detected == d for o in held) for d in KINDS] for h in KINDS
            ]
            for name in sorted({o.type for o in held})
        },
        "tuned on": figures([one for one in judged if one.half == "tuned on"]),
        "pyrit": Confusion.count([h for h, _ in others], [d for _, d in others]).to_json(),
    }


def _contrast(one: Judged) -> bool:
    return one.type.startswith("contrast")


def main() -> None:
    """Measure, and write the figures over those of before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("xstest", type=Path)
    parser.add_argument("pyrit", type=Path)
    parser.add_argument("--out", type=Path, default=VALIDATION)
    options = parser.parse_args()
    found = validation(options.xstest, options.pyrit)
    options.out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name in ("tuned on", "held out"):
        print(name, {k: found[name][k] for k in ("n", "sensitivity", "specificity", "precision", "kinds")})


if __name__ == "__main__":
    main()
