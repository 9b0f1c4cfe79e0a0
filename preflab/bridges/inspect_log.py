"""A run's evaluations as logs that ``inspect view`` opens: one ``.eval`` file a suite, task ``preflab/<suite>``.

``python -m preflab.bridges.inspect_log RUN [--out FOLDER]``. What was measured is written as it stands in the run
folder; nothing is asked or scored again.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from preflab import __version__
from preflab.atomic_files import read_json
from preflab.bridges.extras import import_extra
from preflab.bridges.inspect_samples import log_of
from preflab.errors import PreflabError, RunError
from preflab.evals.core.runner import read_items


def export(run: Path, out: Path | None = None, *, model: str | None = None) -> list[Path]:
    """Write the logs of a run.

    Args:
        run    folder with ``items/<suite>.jsonl`` and ``results/<suite>.json``.
        out    where the logs go; ``<run>/inspect`` by default.
        model  what to call the policy; by default what the run's settings say.

    Returns:
        the files, in order of the suites.

    Raises:
        ConfigError: Inspect is not installed.
        RunError: the run holds no evaluation, or a part of one is missing.
        DataError: a file of the run is damaged.
    """
    log = import_extra("inspect_ai.log")
    folder = out or run / "inspect"
    written = []
    for suite, values in logs_of(run, model=model):
        created = values["eval"]["created"]
        name = f"{created.replace(':', '-')}_preflab-{suite.replace('/', '-')}_{values['eval']['task_id']}.eval"
        folder.mkdir(parents=True, exist_ok=True)
        log.write_eval_log(log.EvalLog.model_validate(values), folder / name)
        written.append(folder / name)
    return written


def logs_of(run: Path, *, model: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each suite of a run with the fields of its log.

    Raises:
        RunError: there is none, or its results are missing.
    """
    files = sorted((run / "items").rglob("*.jsonl"))
    if not files:
        raise RunError(f"{run}: holds no items of an evaluation (items/<suite>.jsonl)")
    config = read_json(run / "config.json") if (run / "config.json").exists() else {}
    settings = config.get("config", config)
    record = read_json(run / "record.json") if (run / "record.json").exists() else {}
    packages = {"preflab": __version__} | dict(record.get("made_by", {}).get("versions", {}))
    for path in files:
        suite = path.relative_to(run / "items").with_suffix("").as_posix()
        results_path = run / "results" / f"{suite}.json"
        results = read_json(results_path)
        written = time.gmtime(results_path.stat().st_mtime)
        yield (
            suite,
            log_of(
                list(read_items(path)),
                {"suite": suite, **results},
                model=model or _model_name(settings, results, run),
                created=time.strftime("%Y-%m-%dT%H:%M:%S+00:00", written),
                packages=packages,
                settings=settings,
            ),
        )


def _model_name(settings: Mapping[str, Any], results: Mapping[str, Any], run: Path) -> str:
    """What to call the policy: Inspect wants ``provider/name``."""
    named = next(
        (str(mapping[key]) for mapping in (results, settings) for key in ("policy", "model") if mapping.get(key)),
        run.name,
    )
    return f"preflab/{named}"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; prints the files."""
    parser = argparse.ArgumentParser(prog="python -m preflab.bridges.inspect_log", description=__doc__)
    parser.add_argument("run", metavar="RUN", type=Path, help="Folder of a run.")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="Where the logs go. Default: RUN/inspect.")
    parser.add_argument("--model", metavar="NAME", help="What to call the policy. Default: as in the run.")
    args = parser.parse_args(argv)
    try:
        for path in export(args.run, args.out, model=args.model):
            print(path)
    except PreflabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
