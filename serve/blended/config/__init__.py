"""A blend as one YAML file: frozen pydantic models that refuse unknown keys.

`load("demo")` reads a preset, `load("blend.yaml")` a file; every mistake is reported at once.
"""

from blended.config.base import Bound, Frozen, Identifier, Seconds
from blended.config.best_of import BestOf
from blended.config.blend import BlendConfig, Served
from blended.config.components import (
    AnyComponent,
    Capability,
    Dialect,
    Engine,
    Hardware,
    Health,
    History,
    RemoteComponent,
    Replicas,
    Sampling,
    SimulatedComponent,
    Simulation,
    Timeouts,
    VllmComponent,
)
from blended.config.experiments import Arm, Experiment, Rehearsal
from blended.config.policies import Policy
from blended.config.reward import (
    AnyReward,
    LocalReward,
    RewardProcess,
    SimulatedReward,
    VllmReward,
)
from blended.config.service import Api, Journal, RouterReplicas, Selection, Tracing

__all__ = [
    "AnyComponent",
    "AnyReward",
    "Api",
    "Arm",
    "BestOf",
    "BlendConfig",
    "Bound",
    "Capability",
    "Dialect",
    "Engine",
    "Experiment",
    "Frozen",
    "Hardware",
    "Health",
    "History",
    "Identifier",
    "Journal",
    "LocalReward",
    "Policy",
    "Rehearsal",
    "RemoteComponent",
    "Replicas",
    "RewardProcess",
    "RouterReplicas",
    "Sampling",
    "Seconds",
    "Selection",
    "Served",
    "SimulatedComponent",
    "SimulatedReward",
    "Simulation",
    "Timeouts",
    "Tracing",
    "VllmComponent",
    "VllmReward",
]
