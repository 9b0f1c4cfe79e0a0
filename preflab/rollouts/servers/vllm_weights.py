"""How weights reach a vLLM server: adapters as files, whole models from a folder, the trunk as it was loaded.

Weights have a name that holds their version and a hash of what they are and of the folder that they came through
(``policy-v000012-1f0c9a2b``): the same name is always the same weights, also after a kill and in the server's cache
of prompts, and two runs that share a server do not clear away each other's.
"""

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preflab import distributed
from preflab.errors import ModelError
from preflab.models.roles import Role
from preflab.models.save import save_adapter, save_policy
from preflab.rollouts.servers.remote import BUSY, Server

BUSY_BUT_BROKEN = BUSY - {500}
"""For requests that change weights: vLLM answers 500 when it refuses them, and asking again changes nothing."""


AS_STARTED = "default"
"""What vLLM calls the version of weights that nobody has renewed."""


@dataclass(frozen=True)
class Pushed:
    """Weights on a server."""

    served: str
    """What requests call the model."""
    name: str
    """Of the weights, with their version."""
    version: int
    role: str | None
    """None: the trunk as it was loaded."""
    folder: Path | None
    """Ours, with the weights; None for the trunk."""
    full_model: bool = False
    """Whether the server's base model was overwritten, in place of an adapter put on it."""


class Weights:
    """The weights of one server, and the folder through which they go there."""

    def __init__(self, server: Server, folder: Path, folder_on_server: str | None) -> None:
        self.server, self.folder = server, folder.absolute()
        self.server_folder = folder_on_server or str(self.folder)

    def base_model(self, model: str | None, *, max_tokens: int) -> str:
        """The name of the served base model.

        Raises:
            SamplerError: the server serves none of that name, several, or with less context than is needed.
        """
        cards = self._served_models()
        bases = {name: card for name, card in cards.items() if not card.get("parent")}
        if model is None and len(bases) != 1:
            raise self.server.complaint(
                "it is not clear which model to use", expected="one base model, or a name (model)", actual=str([*bases])
            )
        name = model if model is not None else next(iter(bases))
        if name not in bases:
            raise self.server.complaint("wrong model", expected=f"it to serve {name!r}", actual=f"{[*bases]}")
        room = bases[name].get("max_model_len")
        if isinstance(room, int) and room < max_tokens:
            raise self.server.complaint(
                f"model {name!r} has too little room",
                expected=f"{max_tokens} tokens (max_context_tokens here, --max-model-len there)",
                actual=str(room),
            )
        return name

    def write(self, role: Role, version: int, base: str) -> Pushed:
        """The role's weights, in a folder named for them. Every process must ask for it.

        Raises:
            ModelError: the role is only a head, which samples nothing.
        """
        if role.name is None:
            return Pushed(base, base, version, None, None)
        if role.is_only_head:
            raise ModelError(f"role {role.name!r} is only a head; there is nothing to sample")
        full_model = role.trunk.adapters is None
        draft = self.folder / f"{role.name}-v{version:06d}-{0:08x}"
        (save_policy if full_model else save_adapter)(role, draft)
        with distributed.rank_zero_first() as is_rank_zero:
            name = self._name_folder(draft) if is_rank_zero else ""
        name = distributed.broadcast(name)
        return Pushed(base if full_model else name, name, version, role.name, self.folder / name, full_model)

    def load(self, pushed: Pushed) -> None:
        """Have the server take these weights.

        Raises:
            SamplerError: it cannot, or does not.
        """
        if pushed.folder is not None:
            (self._reload if pushed.full_model else self._load_adapter)(pushed)

    def is_untouched(self, role: Role) -> bool:
        """Whether the server's base model is still the one it was started with."""
        return role.trunk.adapters is not None or self._served_version() == AS_STARTED

    def restore(self, pushed: Pushed) -> None:
        """Load the weights again if the server has lost them, as one that was started again has."""
        if pushed.folder is not None and not self._has(pushed):
            self.load(pushed)

    def confirm(self, pushed: Pushed) -> None:
        """Check that whole weights are still those after sampling: no answer of vLLM names them.

        Raises:
            SamplerError: the server plays other weights by now.
        """
        if pushed.full_model and (version := self._served_version()) != pushed.name:
            raise self.server.complaint(
                "the server changed weights while it sampled", expected=repr(pushed.name), actual=repr(version)
            )

    def tidy(self, pushed: Pushed) -> None:
        """Unload and delete weights of earlier versions that came through our folder."""
        if pushed.folder is None:
            return
        if not pushed.full_model:
            ours = f"{self.server_folder.rstrip('/')}/"
            for name, card in self._served_models().items():
                if name != pushed.served and str(card.get("root", "")).startswith(ours):
                    self.server.post("/v1/unload_lora_adapter", {"lora_name": name})  # gone already: just as well
        for old in self.folder.iterdir():
            if old != pushed.folder and _NAME.fullmatch(old.name.removesuffix(".part").removesuffix(".old")):
                shutil.rmtree(old, ignore_errors=True)

    # files -----------------------------------------------------------------------------------------------

    def _name_folder(self, draft: Path) -> str:
        """Name a folder for the weights in it."""
        digest = _digest(draft, self.server_folder)
        folder = draft.with_name(f"{draft.name.removesuffix(f'{0:08x}')}{digest[:8]}")
        if (
            folder.is_dir() and _digest(folder, self.server_folder) == digest
        ):  # pushed before a kill, and perhaps being read
            shutil.rmtree(draft)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            draft.rename(folder)
        return folder.name

    # the server's side -----------------------------------------------------------------------------------

    def _has(self, pushed: Pushed) -> bool:
        return self._served_version() == pushed.name if pushed.full_model else pushed.served in self._served_models()

    def _path(self, pushed: Pushed) -> str:
        assert pushed.folder is not None
        return f"{self.server_folder.rstrip('/')}/{pushed.folder.name}"

    def _load_adapter(self, pushed: Pushed) -> None:
        path = self._path(pushed)
        request = {"lora_name": pushed.served, "lora_path": path}
        response = self.server.post("/v1/load_lora_adapter", request, busy=BUSY_BUT_BROKEN)
        if response.status == 404 and "adapter" not in response.message.lower():
            raise self.server.complaint(
                "the server cannot load adapters while it runs",
                expected="POST /v1/load_lora_adapter (VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora)",
                actual=response.message,
            )
        if response.status == 404:
            raise self.server.complaint(
                "the server does not see the folder of adapters",
                expected=f"{path} on storage that both sides see (folder_on_server names it there)",
                actual=response.message,
            )
        if not response.ok and "already been loaded" not in response.message:
            raise self.server.complaint(
                f"the server refuses adapter {pushed.name!r}",
                expected="LoRA switched on, of at least this rank (--enable-lora --max-lora-rank)",
                actual=response.message,
            )
        root = self._served_models().get(pushed.served, {}).get("root")
        if root != path:
            raise self.server.complaint(
                f"adapter {pushed.name!r} is not what the server lists", expected=f"it at {path}", actual=repr(root)
            )

    def _reload(self, pushed: Pushed) -> None:
        """Overwrite the base model from a folder, with no request under way, and forget cached prompts."""
        self._served_version()  # first: a server without these endpoints is refused before anything changes
        self._do("/pause?mode=wait", None)
        try:
            kwargs = {"weights_path": self._path(pushed)}
            self._do("/collective_rpc", {"method": "reload_weights", "kwargs": kwargs})
            self._do("/reset_prefix_cache", None)
            self._do("/update_weight_version", {"new_version": pushed.name})
        finally:
            self._do("/resume", None)

    def _do(self, path: str, body: object) -> None:
        response = self.server.post(path, body, busy=BUSY_BUT_BROKEN)
        if not response.ok:
            raise self.server.complaint(f"{path} failed", expected="the weights renewed", actual=response.message)

    def _served_version(self) -> str:
        response = self.server.get("/weight_info")
        if not response.ok or not isinstance(response.body, Mapping):
            raise self.server.complaint(
                "the server cannot renew whole models",
                expected="GET /weight_info and POST /collective_rpc (VLLM_SERVER_DEV_MODE=1)",
                actual=f"{response.message}. Adapters need neither",
            )
        return str(response.body.get("weight_version"))

    def _served_models(self) -> dict[str, Any]:
        """Served models and adapters by name."""
        response = self.server.get("/v1/models")
        try:
            return {str(card["id"]): dict(card) for card in response.body["data"]}
        except (KeyError, TypeError, ValueError):
            raise self.server.complaint(
                "this is no vLLM server, or it wants a key", expected="a list at /v1/models", actual=response.message
            ) from None


_NAME = re.compile(r"\w+-v\d{6,}-[0-9a-f]{8}")


def _digest(folder: Path, location: str) -> str:
    """Of all files, names included, and of the place they lie in."""
    digest = hashlib.sha256(location.encode())
    for file in sorted(folder.iterdir()):
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        with file.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()
