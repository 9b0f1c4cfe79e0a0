"""What goes wrong, as the user reads it: one line that says what to do."""

import errno
import os
import sys

from preflab.errors import ConfigError, PreflabError, RunError

WEB = ("sqlalchemy", "alembic", "starlette", "uvicorn", "argon2", "python_multipart", "multipart")
EXTRAS = dict.fromkeys(WEB, "web") | {"psycopg": "postgres", "inspect_ai": "inspect", "lm_eval": "lm-eval"}
"""Module -> the extra that brings it."""


def explain(error: Exception) -> PreflabError | None:
    """The error as one the user can act on; None for what is a fault of ours."""
    if isinstance(error, PreflabError):
        return error
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    missing = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    explained: PreflabError
    if full or "No space left on device" in str(error):  # safetensors has an error of its own
        explained = RunError(f"the disk is full ({error}). What was finished is kept: free some space and start again.")
    elif isinstance(error, PermissionError):
        explained = RunError(f"{error.filename}: {error.strerror}")
    elif missing in EXTRAS:
        explained = ConfigError(
            f"{missing} is not installed; this needs the extra {EXTRAS[missing]!r}: "
            f"pip install 'preflab[{EXTRAS[missing]}]'"
        )
    else:
        return None
    explained.__cause__ = error
    return explained


def complain(error: PreflabError) -> None:
    """Print the message in red; where it was raised only on request."""
    from preflab.data.describe import printable

    if os.environ.get("PREFLAB_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    rank = os.environ.get("RANK", "0")  # torchrun's
    text = printable(f"error: {error}" if rank == "0" else f"error (rank {rank}): {error}")
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    print(f"\033[31m{text}\033[0m" if colour else text, file=sys.stderr)
