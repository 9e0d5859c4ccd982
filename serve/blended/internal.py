"""What the router and its components have agreed on, so that neither imports the other."""

# vLLM itself reads this variable and then refuses requests without the key.
INTERNAL_KEY_ENV = "VLLM_API_KEY"
# The port where HAProxy leads the routers of its node, and nobody else, to the components.
INTERNAL_PORT_ENV = "BLENDED_INTERNAL_PORT"
# Tells a component which conversation it is, and the router which replica answered.
SESSION_HEADER = "x-session-id"
REPLICA_HEADER = "x-blended-replica"


def prefix(component_id: str) -> str:
    """Where a component is served, below the address of the blend."""
    return f"/components/{component_id}"
