"""Access to the API: keys from a file and from the environment."""

import hashlib
import logging
import os
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from blended.config import Api
from blended.errors import ApiError, ConfigError
from blended.router.access.keys import Key, KeyRing, OpenKeys, key_ring

SECRET = "sk-blend-the-first"
OTHER = "sk-blend-the-second"
NOON = datetime(2027, 1, 1, 12, tzinfo=UTC).timestamp()


class Clock:
    """Seconds since the epoch, advanced by the test."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def entry(name: str, secret: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "sha256": digest(secret), **fields}


def write(path: Path, *entries: dict[str, Any]) -> str:
    path.write_text(yaml.safe_dump({"keys": list(entries)}))
    return str(path)


def bearer(secret: str) -> set[bytes]:
    return {secret.encode()}


def refusal(ring: KeyRing, carried: set[bytes]) -> str:
    with pytest.raises(ApiError) as caught:
        ring.find(carried)
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
    return caught.value.message


def test_a_key_is_found_by_its_hash(tmp_path: Path) -> None:
    """The secret that a request carries gives its name and limits."""
    limits = {"requests_per_minute": 600, "tokens_per_minute": 100_000}
    path = write(tmp_path / "keys.yaml", entry("web-app", SECRET, **limits), entry("b", OTHER))
    ring = KeyRing(path)

    assert ring.find(bearer(SECRET)) == Key("web-app", 600, 100_000)
    assert ring.find(bearer(OTHER)) == Key("b")


def test_no_key_is_refused(tmp_path: Path) -> None:
    """The error names the ways to send one."""
    ring = KeyRing(write(tmp_path / "keys.yaml", entry("a", SECRET), entry("b", OTHER)))

    for carried in (set[bytes](), bearer("wrong"), bearer("\ud7ff")):
        assert "'Authorization: Bearer KEY', 'x-api-key: KEY'" in refusal(ring, carried)


def test_two_keys_are_refused_even_if_both_are_valid(tmp_path: Path) -> None:
    """No rule of precedence decides whose limits a request uses."""
    ring = KeyRing(write(tmp_path / "keys.yaml", entry("a", SECRET), entry("b", OTHER)))

    assert "several keys" in refusal(ring, bearer(SECRET) | bearer(OTHER))
    assert "several keys" in refusal(ring, bearer(SECRET) | bearer("wrong"))


def test_a_hash_in_capitals_is_the_same(tmp_path: Path) -> None:
    """Tools write hexadecimal digits in either case."""
    path = write(tmp_path / "keys.yaml", {"name": "a", "sha256": digest(SECRET).upper()})

    assert KeyRing(path).find(bearer(SECRET)) == Key("a")


def test_a_key_ends_when_it_expires(tmp_path: Path) -> None:
    """It is valid until that time, and the refusal names the expired key."""
    path = tmp_path / "keys.yaml"
    path.write_text(f"keys: [{{name: a, sha256: {digest(SECRET)}, expires: 2027-01-01T13:00:00Z}}]")
    clock = Clock()
    ring = KeyRing(str(path), clock=clock)

    clock.now = NOON + 3599
    assert ring.find(bearer(SECRET)).name == "a"
    clock.now = NOON + 3600
    assert "'a' expired at 2027-01-01 13:00:00+00:00" in refusal(ring, bearer(SECRET))


def test_a_changed_file_is_read_within_a_second(tmp_path: Path) -> None:
    """The file is not checked more often, and no restart is needed."""
    path, clock = tmp_path / "keys.yaml", Clock()
    ring = KeyRing(write(path, entry("a", SECRET)), clock=clock)
    write(path, entry("b", OTHER))

    clock.now += 0.9
    assert ring.find(bearer(SECRET)).name == "a"
    clock.now += 0.1
    assert ring.find(bearer(OTHER)).name == "b"
    refusal(ring, bearer(SECRET))


def test_a_clock_that_is_set_back_stops_no_reading(tmp_path: Path) -> None:
    """A last check in the clock's future does not count."""
    path, clock = tmp_path / "keys.yaml", Clock()
    ring = KeyRing(write(path, entry("a", SECRET)), clock=clock)
    write(path, entry("b", OTHER))
    clock.now -= 3600

    assert ring.find(bearer(OTHER)).name == "b"


def test_a_mounted_secret_is_swapped_by_a_link(tmp_path: Path) -> None:
    """Kubernetes moves a link to another folder; its file may have the same time and size."""
    for folder, secret in (("one", SECRET), ("two", OTHER)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "keys.yaml", entry("a", secret))
        os.utime(tmp_path / folder / "keys.yaml", (NOON, NOON))
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "keys.yaml").symlink_to("..data/keys.yaml")
    clock = Clock()
    ring = KeyRing(str(tmp_path / "keys.yaml"), clock=clock)
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    clock.now += 1

    assert ring.find(bearer(OTHER)).name == "a"
    refusal(ring, bearer(SECRET))


@pytest.mark.parametrize("text", ["keys: [", "keys: [{name: a}]", "", "keys: " + "[" * 3000, None])
def test_a_file_that_becomes_bad_keeps_the_keys(
    text: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One error names the file, however many requests come; a good file is used again."""
    path, clock = tmp_path / "keys.yaml", Clock()
    ring = KeyRing(write(path, entry("a", SECRET)), clock=clock)
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    for _ in range(5):
        clock.now += 1
        assert ring.find(bearer(SECRET)).name == "a"
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    write(path, entry("b", OTHER))
    clock.now += 1

    assert len(errors) == 1
    assert str(path) in errors[0]
    assert ring.find(bearer(OTHER)).name == "b"
    refusal(ring, bearer(SECRET))


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    """Each mistake has its place in the file and a remedy."""
    path = tmp_path / "keys.yaml"
    path.write_text(
        f"""
keys:
  - {{name: Web App, sha256: abc, requests_per_minut: 3}}
  - {{name: a, sha256: {digest(SECRET)}, requests_per_minute: 0, expires: 2027-01-01T00:00:00}}
  - {{name: a, sha256: {digest(SECRET).upper()}}}
  - {{name: default}}
  - word
"""
    )
    with pytest.raises(ConfigError) as caught:
        KeyRing(str(path))
    first, *lines = str(caught.value).splitlines()

    assert first == f"The keys file '{path}' has 10 mistakes:"
    for expected in (
        "keys[0].name: a name has up to 40 lower-case letters",
        "keys[0].sha256: a SHA-256 in hex has 64 digits",
        "keys[0]: there is an unknown field; did you mean 'requests_per_minute'?",
        "keys[1].requests_per_minute: input should be greater than or equal to 1",
        "keys[1].expires: input should have timezone info",
        "keys[2].name: the same as that of keys[1]",
        "keys[2].sha256: the same as that of keys[1]",
        "keys[3].name: this name is kept for the key in BLENDED_API_KEY",
        "keys[3].sha256: this field is required",
        "keys[4]: this has no fields",
    ):
        assert sum(line.split(": ", 1)[1].startswith(expected) for line in lines) == 1, expected


@pytest.mark.parametrize(
    "text",
    [
        f"keys: [{{name: a, sha256: {SECRET}}}]",
        f"keys: [{{name: a, {SECRET}: b}}]",
        f"keys: {SECRET}",
        f"{SECRET}: 1",
        SECRET,
        f"keys: [{{name: '{SECRET} !', sha256: {digest(SECRET)[:-1]}}}]",
        f"keys: [{{name: a, expires: {SECRET}, requests_per_minute: {SECRET}}}]",
        f"keys:\n  - name: a\n    sha256: {SECRET}\n   bad: 1\n",
        f"keys: [{{name: a, {SECRET}: 1, {SECRET}: 2}}]",
        f"keys: [{{name: a, sha256: !{SECRET} b}}]",
        f"keys: [*{SECRET}]",
        f"keys: [{{name: a, sha256: {digest(SECRET)}, expires: 2027-13-45}}]",
    ],
)
def test_a_bad_file_is_described_without_its_values(text: str, tmp_path: Path) -> None:
    """A key or a hash may be at any place, and logs show errors with their causes."""
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        KeyRing(str(path))

    shown = "".join(traceback.format_exception(caught.value))
    assert str(path) in shown
    assert SECRET not in shown
    assert digest(SECRET)[:-1] not in shown


def test_a_file_that_is_missing_from_the_start_is_an_error(tmp_path: Path) -> None:
    """The router does not start with keys that were not configured."""
    with pytest.raises(ConfigError, match=r"no\.yaml' cannot be read: No such file"):
        KeyRing(str(tmp_path / "no.yaml"))


def test_a_ring_shows_no_secret(tmp_path: Path) -> None:
    """Printing the ring or a key shows no secret."""
    ring = KeyRing(write(tmp_path / "keys.yaml", entry("a", SECRET)), OTHER)

    shown = repr(ring) + repr(ring.find(bearer(SECRET))) + repr(ring.find(bearer(OTHER)))
    assert SECRET not in shown
    assert OTHER not in shown
    assert digest(SECRET) not in shown


def test_the_environments_key_works_beside_the_file(tmp_path: Path) -> None:
    """Its name is `default`, it has no limits, and it stays valid when the file changes."""
    path, clock = tmp_path / "keys.yaml", Clock()
    api = Api(keys_file=write(path, entry("a", SECRET)))
    ring = key_ring(api, {"BLENDED_API_KEY": OTHER}, clock)

    assert ring.find(bearer(OTHER)) == Key("default")
    assert ring.find(bearer(SECRET)) == Key("a")
    write(path, entry("b", "third"))
    clock.now += 1
    assert ring.find(bearer("third")) == Key("b")
    assert ring.find(bearer(OTHER)) == Key("default")


def test_one_key_in_the_environment_is_enough() -> None:
    """No file is needed with it."""
    ring = key_ring(Api(), {"BLENDED_API_KEY": SECRET})

    assert ring.find(bearer(SECRET)) == Key("default")
    with pytest.raises(ApiError):
        ring.find(bearer(OTHER))


@pytest.mark.parametrize("environ", [{}, {"BLENDED_API_KEY": ""}])
def test_without_any_key_the_router_does_not_serve(environ: dict[str, str]) -> None:
    """An empty variable counts as no key."""
    with pytest.raises(ConfigError, match="does not serve without keys"):
        key_ring(Api(), environ)


def test_everybody_is_served_only_where_the_configuration_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log then says so too; with a keys file it is a contradiction."""
    ring = key_ring(Api(dangerously_serve_without_keys=True), {})

    assert isinstance(ring, OpenKeys)
    assert ring.find(()) == ring.find(bearer("anything")) == Key("anonymous")
    assert "serves everybody" in caplog.text
    with pytest.raises(ConfigError, match="contradicts"):
        key_ring(Api(dangerously_serve_without_keys=True, keys_file="keys.yaml"), {})
