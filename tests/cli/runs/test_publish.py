"""``preflab publish``."""

import json
from pathlib import Path

from preflab.runner.sources import sources
from tests.cli.commands import preflab


def test_a_run_of_the_main_job_is_published_with_every_verdict_under_its_claim(home: Path) -> None:
    written = preflab("publish", "r", cwd=home)
    assert (written.returncode, written.stdout) == (0, "results/align/r.json\n"), written.stderr
    run = json.loads((home / "results" / "align" / "r.json").read_text())
    ids = {verdict["id"] for verdict in run["verdicts"]}
    assert ids == {claim.id for source in sources() for claim in source.claims if claim.recipe == "align"}
    assert run["hashes"]["weights"].keys() == {"policy/model.safetensors", "preference_model/model.safetensors"}
    shown = preflab("claims", "align", cwd=home)
    assert shown.returncode == 0 and "align/r" in shown.stdout
