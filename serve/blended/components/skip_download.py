"""A callback of Ray's LLM engines for models that are on the disk of every node."""

from ray.llm._internal.common.callbacks.base import CallbackBase


class ModelOnDisk(CallbackBase):
    """Skips the download step, which loads all of vLLM in a process for each replica.

    Ray documents callbacks for this purpose, and keeps their base class in this module.
    """

    async def on_before_node_init(self) -> None:
        """Tell Ray that there is nothing to download."""
        self.ctx.run_init_node = False
