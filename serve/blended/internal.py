"""Constants that the router and its components share, so that neither imports the other."""

# vLLM itself reads this variable and then refuses requests without the key.
INTERNAL_KEY_ENV = "VLLM_API_KEY"
# The port on which HAProxy serves the components, only to the routers of its node.
INTERNAL_PORT_ENV = "BLENDED_INTERNAL_PORT"
# Headers that name the conversation to a component, and the replica to the router.
SESSION_HEADER = "x-session-id"
REPLICA_HEADER = "x-blended-replica"
# vLLM's scheduling policy that takes the priorities of requests; lower numbers come first.
PRIORITY = "priority"
LOWEST_PRIORITY = 1_000_000
# The reward model's name beside those of components, and its path prefix.
REWARD = "reward"
REWARD_PREFIX = f"/{REWARD}"


def prefix(component_id: str) -> str:
    """The path prefix of a component, below the address of the blend."""
    return f"/components/{component_id}"
