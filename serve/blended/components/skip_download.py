"""A callback of Ray's LLM engines for models that already lie on the disk of every node."""

from ray.llm._internal.common.callbacks.base import CallbackBase


class ModelOnDisk(CallbackBase):
    """Skips the download step, which costs a process with all of vLLM in it for each replica.

    Ray documents callbacks as the way to do this, and keeps their base class in this module.
    """

    async def on_before_node_init(self) -> None:
        """Tell Ray that there is nothing to fetch."""
        self.ctx.run_init_node = False
