"""Policies as files, each of which says which one it is: NAME.VERSION.json in a folder."""

import json
from pathlib import Path

from blended import config
from blended.errors import ConfigError
from blended.learning import features
from blended.learning.policy import Policy

# Below the state folder of every node that holds a router.
FOLDER = "policies"


def path_of(folder: Path, name: str, version: str) -> Path:
    """The file of a policy; a name that a Kubernetes ConfigMap takes as a key."""
    return folder / f"{name}.{version}.json"


def write(policy: Policy, folder: Path) -> Path:
    """Write a policy's file, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = path_of(folder, policy.name, policy.version)
    part = file.with_name(f"{file.name}.part")
    part.write_text(json.dumps(policy.to_json()) + "\n", "utf-8")
    part.replace(file)
    return file


def read(folder: Path, name: str, version: str) -> Policy:
    """The policy of a name and version.

    Raises:
        ConfigError: its file is missing, unreadable or changed, or of other features.
    """
    file = path_of(folder, name, version)
    try:
        values = json.loads(file.read_text("utf-8"))
        features_version = values["features"]
        policy = Policy.from_json(values) if features_version == features.VERSION else None
    except OSError as exc:
        raise ConfigError(
            f"The policy '{name}@{version}' cannot be read from '{file}': {exc.strerror}; put its "
            "file there."
        ) from None
    except (ValueError, LookupError, TypeError) as exc:
        raise ConfigError(f"'{file}' is no policy ({exc}); fit it again.") from None
    if policy is None:
        raise ConfigError(
            f"'{file}' has features of version {features_version}, this version of Blended has "
            f"{features.VERSION}; fit the policy again."
        )
    if (policy.name, policy.version) != (name, version):
        raise ConfigError(
            f"'{file}' holds '{policy.reference}', not '{name}@{version}'; it was changed or "
            "renamed. Put the right file there."
        )
    return policy


def usable(folder: Path, wanted: config.Policy) -> Policy:
    """The policy that a blend's file asks for.

    Raises:
        ConfigError: its file is of no use, or it leaves a component less than the floor.
    """
    policy = read(folder, wanted.name, wanted.version)
    if policy.floor < wanted.floor:
        raise ConfigError(
            f"The policy '{wanted.reference}' leaves each component {policy.floor:g}, less than "
            f"the floor of {wanted.floor:g}; fit it again with that floor."
        )
    return policy


def versions(folder: Path, name: str) -> list[str]:
    """The versions of a policy in a folder, the latest file first."""
    files = sorted(folder.glob(f"{name}.*.json"), key=lambda file: -file.stat().st_mtime)
    return [file.name.split(".")[1] for file in files]
