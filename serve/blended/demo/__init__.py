"""The demo: three tiny chat models, each with a voice of its own, and the recipe that made them.

Beside them is a reward model for their answers, which `python -m blended.reward.train` has made.
"""

from pathlib import Path

from blended.errors import ConfigError

MODEL_IDS: tuple[str, ...] = ("ember", "flint", "willow")
REWARD_MODEL_ID = "reward"
MODEL_FOLDER = Path(__file__).parent / "models"
CONVERSATION: tuple[str, ...] = (
    "Hi there! My name is Robin.",
    "I love hiking in the mountains.",
    "What should I eat tonight?",
    "I had a long day and I feel tired.",
    "Do you remember my name?",
    "Thank you, good night!",
)

# The user's further messages while a component has had no turn.
GOING_ON: tuple[str, ...] = (
    "Good morning! How are you?",
    "What should I do today?",
    "I like tea with honey.",
    "Tell me something nice.",
    "Do you remember my name?",
    "Thank you, goodbye!",
)

__all__ = [
    "CONVERSATION",
    "GOING_ON",
    "MODEL_FOLDER",
    "MODEL_IDS",
    "REWARD_MODEL_ID",
    "model_path",
]


def model_path(model_id: str) -> Path:
    """The folder with the weights and the tokenizer of a chat model, or of the reward model.

    Raises:
        ConfigError: there is no such model.
    """
    models = (*MODEL_IDS, REWARD_MODEL_ID)
    if model_id not in models:
        known = ", ".join(models)
        raise ConfigError(f"Demo model {model_id!r} does not exist; choose one of {known}.")
    return MODEL_FOLDER / model_id
