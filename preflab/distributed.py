"""Several processes on one run: who does what, and how they come together again.

Started by ``torchrun``, every process runs the same program. All of them hold the same view of every batch; what
costs time, the forward and backward passes over parts of it, is dealt out (`shard_batches`), and what comes of it is
added up again (`all_reduce_sum`). Rank zero alone writes the run's files. One process alone is the same code with
nothing to deal.

Nothing here imports torch before there are several processes.
"""

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from preflab.errors import ConfigError, RunError

if TYPE_CHECKING:
    from torch import Tensor

Item = TypeVar("Item")

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def world_size() -> int:
    """How many processes work on this run together; 1 outside `process_group`."""
    return int(_dist().get_world_size()) if _is_distributed() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return int(_dist().get_rank()) if _is_distributed() else 0


def local_rank() -> int:
    """Which of the processes on this machine this is: the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0")) if _is_distributed() else 0


def is_rank_zero() -> bool:
    """Whether this process writes the run's files and speaks to the terminal."""
    return rank() == 0


@contextlib.contextmanager
def process_group(*, timeout_seconds: float = 600.0) -> Iterator[None]:
    """Join the other processes that ``torchrun`` started, for the length of the block; nothing to do for one alone.

    Args:
        timeout_seconds  how long one process waits for the others before it gives up.

    Raises:
        ConfigError: ``torchrun``'s variables are there in part only.
        RunError: another process died or does not answer. What was saved is kept.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    if missing := [name for name in _VARIABLES if name not in os.environ]:
        raise ConfigError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']} but {', '.join(missing)} not set: start several processes with "
            "'torchrun --nproc-per-node N -m preflab ...'"
        )
    from datetime import timedelta

    import torch

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    before = signal.signal(signal.SIGTERM, _raise_stopped)
    with _explain_lost_peers():
        _dist().init_process_group(backend, timeout=timedelta(seconds=timeout_seconds))
    try:
        with _explain_lost_peers():
            yield
    finally:
        _dist().destroy_process_group()
        signal.signal(signal.SIGTERM, before)


def shutdown() -> None:
    """End this process here, where several work and all is done and saved; nothing for one alone.

    Torch's process groups, torn down after sharded models were used, now and then abort a process whose work is done.
    """
    if not _is_distributed():
        return
    import sys

    _dist().barrier()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def shard_batches(batches: Sequence[list[Item]]) -> list[list[Item]]:
    """This process's share of the batches: every ``world_size``-th, from its own rank on.

    All get the same number, so that they stay in step: where the batches run out, an empty one.
    """
    world, this_rank = world_size(), rank()
    rounds = -(-len(batches) // world)
    return [batches[i] if (i := n * world + this_rank) < len(batches) else [] for n in range(rounds)]


def tokens_per_rank(max_tokens: int, n_tokens: int) -> int:
    """Tokens a batch may hold so that there is one for each process: ``max_tokens``, or less."""
    return max(1, min(max_tokens, -(-n_tokens // world_size())))


def all_reduce_sum(tensor: "Tensor") -> "Tensor":
    """The sum over all processes, in place; every one has it."""
    if _is_distributed():
        _dist().all_reduce(tensor)
    return tensor


def all_reduce_gradients(weights: "Sequence[Tensor]") -> None:
    """Add up the gradients of these weights over all processes. Sharded ones have been when they were shared out.

    A weight that no process has a gradient for keeps none.
    """
    unsharded = [weight for weight in weights if not hasattr(weight, "full_tensor")]
    if not _is_distributed() or not unsharded:
        return
    import torch

    counts = all_reduce_sum(torch.tensor([float(weight.grad is not None) for weight in unsharded]))
    used = [weight for weight, count in zip(unsharded, counts.tolist(), strict=True) if count]
    for weight in used:
        if weight.grad is None:  # this process had nothing to do with it
            weight.grad = torch.zeros_like(weight)
    grads = [weight.grad for weight in used if weight.grad is not None]
    flat = all_reduce_sum(torch.cat([grad.flatten() for grad in grads])) if grads else torch.empty(0)
    for grad, piece in zip(grads, torch.split(flat, [grad.numel() for grad in grads]), strict=True):
        grad.copy_(piece.view_as(grad))


def copy_reduced_gradients(gradients: "Iterable[Tensor]") -> "list[Tensor]":
    """Gradients added up over all processes, as copies; sharded ones are summed already."""
    return [g if hasattr(g, "full_tensor") or not _is_distributed() else all_reduce_sum(g.clone()) for g in gradients]


def all_reduce_metrics(numbers: dict[str, float]) -> dict[str, float]:
    """Sums over all processes of numbers by name; what a process has no number for counts 0."""
    if not _is_distributed():
        return numbers
    parts: list[dict[str, float]] = [{} for _ in range(world_size())]
    _dist().all_gather_object(parts, numbers)
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0.0) for part in parts) for name in names}


def full_tensor(tensor: "Tensor") -> "Tensor":
    """A tensor that may be sharded over the processes, put together; every one must ask for it."""
    full = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()


def shard_like(tensor: "Tensor", like: "Tensor") -> "Tensor":
    """This process's shard of a whole tensor, where ``like`` is sharded; otherwise the tensor as it is."""
    if not hasattr(like, "full_tensor"):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = like.device_mesh, like.placements  # type: ignore[attr-defined]  # a DTensor's
    return distribute_tensor(tensor.to(like.device), mesh, placements, src_data_rank=None)


def gather_batches(items: Sequence[Item]) -> list[Item]:
    """What all processes made of a list that was dealt out item by item (``everything[rank::world]``), in order."""
    if not _is_distributed():
        return list(items)
    parts: list[list[Item]] = [[] for _ in range(world_size())]
    _dist().all_gather_object(parts, list(items))
    return [part[n] for n in range(max(map(len, parts))) for part in parts if n < len(part)]


def broadcast(value: Item) -> Item:
    """The first rank's value, for all."""
    if not _is_distributed():
        return value
    box: list[Any] = [value if is_rank_zero() else None]
    _dist().broadcast_object_list(box, src=0)
    first_ranks: Item = box[0]
    return first_ranks


@contextlib.contextmanager
def rank_zero_first() -> Iterator[bool]:
    """A block whose work is the first rank's alone: yields whether to do it, and lets all go on when it is done.

    Raises:
        RunError: for the others, what stopped the first.
    """
    if not _is_distributed():
        yield True
        return
    problem: str | None = None
    try:
        yield is_rank_zero()
    except BaseException as error:
        problem = str(error) or type(error).__name__
        broadcast(problem)
        raise
    if (stopped := broadcast(problem)) is not None:
        raise RunError(f"rank 0 stopped: {stopped}")


def _is_distributed() -> bool:
    """Whether this process works with others (asked often: torch is looked at only where it is loaded already)."""
    import sys

    return "torch.distributed" in sys.modules and _dist().is_available() and _dist().is_initialized()


def _dist() -> Any:
    import torch.distributed

    return torch.distributed


_HOW_TO_RESUME = "What was saved is kept: start the same command again to go on"


def _raise_stopped(*_: object) -> None:
    """What ``torchrun`` asks of all when one has died."""
    raise RunError(f"rank {os.environ['RANK']} was told to stop, as when another process dies. {_HOW_TO_RESUME}")


@contextlib.contextmanager
def _explain_lost_peers() -> Iterator[None]:
    """Say what a broken connection between processes means."""
    try:
        yield
    except RuntimeError as error:
        if not _is_lost(error):
            raise
        failed_rank, world = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
        raise RunError(
            f"rank {failed_rank} of {world} lost the others: another process died or did not answer "
            f"({str(error).splitlines()[0]:.120}). {_HOW_TO_RESUME}"
        ) from error


def _is_lost(error: RuntimeError) -> bool:
    """Whether an error of torch's comes from the connection between processes."""
    signs = ("connection", "gloo", "nccl", "timed out", "timeout", "peer", "socket", "rendezvous")
    kind = type(error).__module__ + type(error).__name__
    return not isinstance(error, RunError) and ("Dist" in kind or any(sign in str(error).lower() for sign in signs))
