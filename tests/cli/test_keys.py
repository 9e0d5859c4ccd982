"""`blended keys`, on the file that the router reads."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from blended.cli import keys
from blended.errors import ConfigError
from blended.router.access import keys_file
from blended.router.access.keys import Key, KeyRing

HASH = "0123456789abcdef" * 4
WRITTEN = f"""\
# Who may call.
keys:
- sha256: {HASH}  # of the first
  name: first

# The second's budget is agreed in writing.
- name: second
  sha256: {HASH[::-1]}
  tokens_per_minute: 1000 # per contract
# The end.
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(keys.app, [str(argument) for argument in arguments])


def names(path: Path) -> list[str]:
    return [entry.name for entry in keys_file.read(path)]


def test_a_new_key_opens_the_api(tmp_path: Path) -> None:
    """Standard output is the key alone, and the router knows it by its name and limits."""
    path = tmp_path / "keys.yaml"
    limits = ("--requests-per-minute", "60", "--tokens-per-minute", "9000")
    result = run("new", "web-app", "--file", path, *limits, "--expires", "2099-12-31")

    assert result.exit_code == 0
    assert re.fullmatch(r"sk-blend-[\w-]{43}\n", result.stdout)
    end = datetime(2099, 12, 31, tzinfo=UTC)
    found = KeyRing(str(path)).find({result.stdout.strip().encode()})
    assert found == Key("web-app", 60, 9000, end)


def test_the_file_is_private_and_holds_no_key(tmp_path: Path) -> None:
    """A new file belongs to its owner alone."""
    path = tmp_path / "keys.yaml"
    key = run("new", "web-app", "--file", path).stdout.strip()

    assert path.stat().st_mode & 0o777 == 0o600
    assert key not in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["keys.yaml"]


def test_an_existing_file_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    """Who could read it before still can."""
    path, link = tmp_path / "real.yaml", tmp_path / "keys.yaml"
    path.write_text(WRITTEN)
    path.chmod(0o640)
    link.symlink_to("real.yaml")
    run("new", "third", "--file", link)

    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(path) == ["first", "second", "third"]


def test_an_edit_leaves_the_rest_as_it_is(tmp_path: Path) -> None:
    """Comments and order stay; what was added and removed again leaves no trace."""
    path = tmp_path / "keys.yaml"
    path.write_text(WRITTEN)
    run("new", "third", "--file", path, "--requests-per-minute", "5")
    added = path.read_text()
    run("remove", "third", "--file", path)

    before, _, after = WRITTEN.partition("# The end.")
    assert added.startswith(before + "- name: third\n  sha256: ")
    assert added.endswith("  requests_per_minute: 5\n# The end." + after)
    assert path.read_text() == WRITTEN


@pytest.mark.parametrize(
    "text",
    [
        WRITTEN,
        WRITTEN.replace("\n  ", "\n      ").replace("\n- ", "\n    - "),
        f"keys: [{{name: first, sha256: {HASH}}}, {{name: second, sha256: {HASH[::-1]}}}]\n",
        f"keys:\n- {{name: first, sha256: {HASH}}}\n- {{name: second, sha256: {HASH[::-1]}}}",
        f'{{"keys": [{{"name": "first", "sha256": "{HASH}"}}, '
        f'{{"name": "second", "sha256": "{HASH[::-1]}"}}]}}',
        f"keys:\n-\n  name: first\n  sha256: {HASH}\n-\n  name: second\n  sha256: {HASH[1:]}0\n",
    ],
    ids=["block", "indented", "flow", "lines", "json", "dashes"],
)
def test_every_key_can_be_removed_and_others_added(text: str, tmp_path: Path) -> None:
    """In whatever style the file is written, down to none and up again."""
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    results = [
        run("new", "third", "--file", path),
        run("remove", "first", "--file", path),
        run("remove", "third", "--file", path),
        run("remove", "second", "--file", path),
        run("new", "fourth", "--file", path),
        run("new", "fifth", "--file", path),
    ]

    assert [(r.exit_code, r.exception) for r in results] == [(0, None)] * 6
    assert names(path) == ["fourth", "fifth"]


def test_an_unusual_file_is_not_touched(tmp_path: Path) -> None:
    """Where an edit would not do what it should, the file stays and a sentence says so."""
    path = tmp_path / "keys.yaml"
    # To seven digits of a second, of which one would be lost.
    text = WRITTEN.replace("# The end.", "  expires: 2099-01-02 03:04:05.1234567Z\n# The end.")
    path.write_text(text)
    results = [run("remove", "first", "--file", path), run("new", "third", "--file", path)]

    for result in results:
        assert isinstance(result.exception, ConfigError)
        assert "by hand" in str(result.exception)
    assert path.read_text() == text


@pytest.mark.parametrize("order", list(permutations(["first", "second", "third"])), ids="-".join)
@pytest.mark.parametrize("above", ["keys:", "keys:  # by name", "keys:\n# The first's."])
def test_comments_on_lines_of_their_own_outlive_every_entry(
    order: tuple[str, ...], above: str, tmp_path: Path
) -> None:
    """In their order, whichever entry goes first; one behind an entry goes with it."""
    path = tmp_path / "keys.yaml"
    third = f"# In one line.\n- {{name: third, sha256: {HASH[1:]}0}} # behind\n# The end."
    path.write_text(WRITTEN.replace("# The end.", third).replace("keys:", above))
    comments = re.findall("^#.*$", path.read_text(), re.MULTILINE)
    for index, name in enumerate(order, 1):
        run("remove", name, "--file", path)

        assert sorted(names(path)) == sorted(order[index:])
        assert re.findall("^#.*$", path.read_text(), re.MULTILINE) == comments


def test_a_name_that_is_a_word_of_yaml_stays_a_name(tmp_path: Path) -> None:
    """Of 1.1 or of 1.2: a switch, a date, a number."""
    path = tmp_path / "keys.yaml"
    words = ["on", "null", "2099-01-02", "0777", "1e3", "12"]
    for word in words:
        run("new", word, "--file", path)

    assert names(path) == words


def test_the_list_shows_limits_and_no_hashes(tmp_path: Path) -> None:
    """One line for each key."""
    path = tmp_path / "keys.yaml"
    path.write_text(WRITTEN)
    result = run("list", "--file", path)

    assert result.exit_code == 0
    assert re.search(r"second\s+│\s+│\s+1000\s+│", result.stdout)
    listed = json.loads(run("list", "--file", path, "--json").stdout)
    assert [entry["tokens_per_minute"] for entry in listed] == [None, 1000]
    assert HASH[:8] not in str(listed)
    assert "first" in result.stdout
    assert HASH[:8] not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("new", "first"), "has a key 'first'"),
        (("new", "First!"), "keys[2].name: a name has up to 40 lower-case letters"),
        (("new", "default"), "kept for the key in BLENDED_API_KEY"),
        (("remove", "third"), "has no key 'third'; the keys are: first, second"),
    ],
)
def test_a_wrong_name_changes_nothing(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    """The error names it, and no key is printed."""
    path = tmp_path / "keys.yaml"
    path.write_text(WRITTEN)
    result = run(*arguments, "--file", path)

    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
    assert result.stdout == ""
    assert path.read_text() == WRITTEN


@pytest.mark.parametrize(
    "option", ["--expires=tomorrow", "--expires=2020-01-01", "--tokens-per-minute=0"]
)
def test_a_wrong_option_is_refused(option: str, tmp_path: Path) -> None:
    """No file is made."""
    result = run("new", "a", "--file", tmp_path / "keys.yaml", option)

    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("list",), ("remove", "a")])
def test_a_missing_file_is_a_sentence(command: tuple[str, ...], tmp_path: Path) -> None:
    """Only `new` makes one, and only in a folder that is there."""
    missing = run(*command, "--file", tmp_path / "keys.yaml")
    folder = run("new", "a", "--file", tmp_path / "no" / "keys.yaml")

    for result in (missing, folder):
        assert isinstance(result.exception, ConfigError)
        assert "No such file" in str(result.exception)


def test_edits_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """Each waits for the one before."""
    path = tmp_path / "keys.yaml"
    expected = [f"key-{n}" for n in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: keys.new(name, path), expected))

    assert sorted(names(path)) == sorted(expected)
