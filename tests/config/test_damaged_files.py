"""Whatever stands in a blend's file: it is refused in words, and no message shows a secret."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from blended.config import engine_files, loading
from blended.errors import ConfigError
from tests.config.checked import check
from tests.config.wrong_files import ENGINE, HEAD, REMOTE, SIMULATED

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "experiment.yaml"
SECRETS = {
    "whole component": (HEAD + "  - {id: a, kind: remot, headers: {X-Token: SECRET}}\n", ".kind"),
    "environment": (f"{HEAD}{ENGINE}, env: {{HF_TOKEN: [SECRET]}}}}}}\n", ".env.HF_TOKEN"),
    "number": (f"{HEAD}{ENGINE}, env: {{PIN: 4711}}}}}}\n", ".env.PIN"),
    "address": (
        f"{HEAD}{REMOTE.replace('https://h/v1', 'https://u:SECRET@h/v1?k=SECRET')}}}\n",
        ".base_url",
    ),
    "key for its variable": (f"{HEAD}{REMOTE}, api_key_env: sk-SECRET}}\n", ".api_key_env"),
    "key for an id": (HEAD + "  - {id: sk-SECRET, kind: simulated}\n", ".id"),
    "mapping for a kind": (HEAD + "  - {id: a, kind: {token: SECRET}}\n", "components[0].kind"),
    "key for a component that is weighted": (
        SIMULATED.replace("id: a", "id: sk-SECRET") + "selection: {weights: {b: 1}}\n",
        "selection.weights.b: there is no component 'b'; the components are …",
    ),
    "unknown key": (f"{HEAD}{REMOTE}, api_key: SECRET}}\n", ".api_key"),
    "store": (f"{SIMULATED}api: {{shared_store: 'https://:SECRET@h'}}\n", "api.shared_store"),
    "address without its scheme": (
        f"{HEAD}{REMOTE.replace('https://h', 'u:SECRET@h')}}}\n",
        ".base_url: '…@h/v1'",
    ),
    "password with a slash": (
        f"{HEAD}{REMOTE.replace('https://h', 'https://u:SEC/RET?SECRET@h')}}}\n",
        ".base_url: 'https://…@h/v1'",
    ),
    "password of the store": (
        f"{SIMULATED}api: {{shared_store: 'redis:u:SECRET@h'}}\n",
        "api.shared_store: '…@h'",
    ),
    "options": (
        f"{HEAD}{ENGINE}, args: '--hf-token SECRET'}}}}\n",
        ".args: this value is not valid",
    ),
    "variable and value": (f"{HEAD}{ENGINE}, env: {{HF_TOKEN=SECRET: }}}}}}\n", ".env.…: nothing"),
    "not YAML": ("api_key: SECRET: x\n", ":1: "),
}


@pytest.mark.parametrize(("text", "place"), SECRETS.values(), ids=SECRETS.keys())
def test_no_message_shows_a_secret(
    text: str, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under headers, keys and variables, in addresses, and where a key stands by mistake."""
    path = tmp_path / "blend.yaml"
    path.write_text(text)
    said = check(str(path), capsys=capsys)

    assert place in said
    assert "SECRET" not in said
    assert "4711" not in said


VALUES = [None, True, "no", "", "x" * 300, -1, 0, 2.5, 10**30, [], [1], {}, {"a": 1}, "sk-SECRET"]


def spoilt(data: Any, rng: random.Random) -> Any:
    """A copy with one value replaced, one key renamed, or one value gone, anywhere below."""
    if isinstance(data, list) and data:
        i = rng.randrange(len(data))
        return [spoilt(item, rng) if k == i else item for k, item in enumerate(data)]
    if isinstance(data, dict) and data:
        key, what = rng.choice(list(data)), rng.random()
        if what < 0.15:
            return {k: v for k, v in data.items() if k != key}
        if what < 0.3:
            return {(f"{k[:-1]}x" if k == key else k): v for k, v in data.items()}
        return {k: spoilt(v, rng) if k == key else v for k, v in data.items()}
    return rng.choice(VALUES)


@pytest.mark.parametrize("source", ["demo", "modern", str(EXAMPLE)], ids=("demo", "modern", "e"))
def test_every_mistake_has_words(source: str) -> None:
    """Whatever stands in a file, it is read or refused with lines that show no secret; seeded."""
    data = json.loads(loading.load(source).model_dump_json(exclude_unset=True))
    rng = random.Random(data["name"])
    texts = [yaml.safe_dump(spoilt(spoilt(data, rng), rng)) for _ in range(150)]
    refused = [said for text in texts if (said := refusal(text))]

    assert len(refused) > 75
    for said in refused:
        first, *lines = said.splitlines()
        assert re.fullmatch(r"blend\.yaml has \d+ mistakes?:", first)
        assert all(re.match(r"  blend\.yaml:\d+: \S+: .{8,}", line) for line in lines), said
        assert "SECRET" not in said


def refusal(text: str) -> str:
    """What is said of a file; nothing if it is right."""
    try:
        loading.parse(text, "blend.yaml", engine_files.problems)
    except ConfigError as exc:
        return str(exc)
    return ""
