"""The other end of ``benchmarks.sampling``: run by a python that has vLLM, it samples whenever a line comes in.

Each line is JSON. The first says what to load and from which prompts to sample; each later one starts a round. Answers
are one JSON line each; whatever vLLM prints goes to stderr.
"""

import json
import os
import sys
import time
from typing import Any

ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # vLLM prints to stdout


def answer(**what: Any) -> None:
    """One line back."""
    print(json.dumps(what), file=ANSWERS, flush=True)


def main() -> None:
    """Load once, then sample as often as asked."""
    order = json.loads(sys.stdin.readline())
    os.environ |= {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(order["threads"]),
        "VLLM_LOGGING_LEVEL": "WARNING",
        "HF_HUB_OFFLINE": "1",
    }
    from vllm import LLM, SamplingParams

    n = len(order["prompts"]) * order["samples"]
    longest = max(map(len, order["prompts"])) + order["new_tokens"]
    llm = LLM(order["model"], dtype=order["dtype"], max_num_seqs=n, max_model_len=longest + 8, disable_log_stats=True)
    how = SamplingParams(temperature=1.0, max_tokens=order["new_tokens"], ignore_eos=True, n=order["samples"])
    prompts = [{"prompt_token_ids": ids} for ids in order["prompts"]]
    llm.generate(prompts[:2], how, use_tqdm=False)
    llm.reset_prefix_cache()
    answer(ready=1)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        outs = llm.generate(prompts, how, use_tqdm=False)
        taken = {"own_wall_seconds": time.perf_counter() - wall, "own_cpu_seconds": time.process_time() - cpu}
        new = sum(len(reply.token_ids) for out in outs for reply in out.outputs)
        llm.reset_prefix_cache()  # the next round starts as cold as this one
        answer(new_tokens=new, prompt_tokens_run=sum(map(len, order["prompts"])), **taken)


if __name__ == "__main__":
    main()
