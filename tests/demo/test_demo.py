"""The light surface of blended.demo: ids, paths, and what importing it costs."""

import subprocess
import sys

import pytest

from blended.demo import CONVERSATION, MODEL_IDS, model_path


def test_every_demo_model_has_its_files() -> None:
    """A demo model's folder holds all that transformers and vLLM read."""
    needed = {"config.json", "generation_config.json", "model.safetensors"}
    needed |= {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}

    for model_id in MODEL_IDS:
        assert needed <= {path.name for path in model_path(model_id).iterdir()}


def test_unknown_model_is_refused_with_the_known_ones() -> None:
    """A wrong id is answered with a sentence that lists the right ones."""
    with pytest.raises(
        ValueError, match=r"'oak' does not exist; choose one of ember, flint, willow, reward"
    ):
        model_path("oak")


def test_importing_the_demo_loads_no_framework() -> None:
    """Importing blended.demo loads neither torch nor transformers nor tokenizers."""
    heavy = "{'torch', 'transformers', 'tokenizers'}"
    check = f"import blended.demo, sys; sys.exit(bool({heavy} & set(sys.modules)))"
    path = str(model_path("ember").parents[3])

    done = subprocess.run([sys.executable, "-c", check], env={"PYTHONPATH": path}, check=False)

    assert done.returncode == 0


def test_demo_conversation_has_six_turns() -> None:
    """The demo conversation gives a name first and asks for it later."""
    assert len(CONVERSATION) == 6
    assert "Robin" in CONVERSATION[0]
    assert CONVERSATION[4] == "Do you remember my name?"
