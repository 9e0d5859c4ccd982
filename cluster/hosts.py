"""A blend on hosts without Kubernetes: the commands that start Ray on each host, and the blend.

`python -m cluster.hosts BLEND --head HOST --host HOST=GROUP,GROUP …` prints them. A group is a
component's replica group or the router's; a host without a group runs the deployments that have no
group. The head holds replicas only if it is also given as a `--host`. All hosts need this package,
and the models in the places that the blend's file names.
"""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence

from blended.components.placement import selector
from blended.config import BlendConfig
from blended.config.loading import load
from blended.errors import BlendedError, ConfigError
from blended.internal import INTERNAL_KEY_ENV, INTERNAL_PORT_ENV
from blended.journal.identity import SECRET_ENV
from blended.launch.environment import INTERNAL_PORT, PRIVACY_ENV, SERVE_ENV
from blended.launch.haproxy import BINARY_ENV
from blended.router.blend import CLIENT_KEY_ENV

GCS_PORT, DASHBOARD_PORT = 6379, 8265
_SECRETS = ("RAY_AUTH_TOKEN", CLIENT_KEY_ENV, INTERNAL_KEY_ENV, SECRET_ENV)


def script(source: str, head: str, hosts: Mapping[str, Sequence[str]]) -> str:
    """The commands, with a comment before each part of them.

    Raises:
        ConfigError: the blend is wrong, or a group has no host or does not exist.
    """
    blend = load(source)
    _refuse_homeless(blend, hosts)
    if not hosts:
        raise ConfigError(
            "No host may hold a replica, and the head alone holds none: --host HOST=."
        )
    plain = {**SERVE_ENV, INTERNAL_PORT_ENV: str(INTERNAL_PORT), **PRIVACY_ENV}
    parts = [
        "# On every host, in the shell that starts Ray: the same secrets everywhere, random texts.",
        *(f"export {name}=…" for name in (*_SECRETS, *_remote_keys(blend))),
        "export RAY_AUTH_MODE=token",
        *(f"export {k}={shlex.quote(v)}" for k, v in plain.items()),
        f'export {BINARY_ENV}="$(command -v blended-haproxy)"',
        f"\n# On {head}:",
        _head(hosts.get(head)),
    ]
    for host, groups in hosts.items():
        if host != head:
            parts += [f"\n# On {host}:", f"ray start --address={head}:{GCS_PORT}{_labels(groups)}"]
    up = f"blended up {source} --address http://{head}:{DASHBOARD_PORT}"
    return "\n".join(
        [*parts, "\n# From anywhere, with RAY_AUTH_TOKEN set; later changes by apply:", up]
    )


def _refuse_homeless(blend: BlendConfig, hosts: Mapping[str, Sequence[str]]) -> None:
    wanted = set(blend.replica_groups)
    given = {group for groups in hosts.values() for group in groups}
    if missing := sorted(wanted - given):
        raise ConfigError(f"No host is in the group {', '.join(missing)}; write --host HOST=GROUP.")
    if unknown := sorted(given - wanted):
        raise ConfigError(
            f"The blend has no group {', '.join(unknown)}; its groups are "
            f"{', '.join(sorted(wanted)) or 'none'}."
        )


def _head(groups: Sequence[str] | None) -> str:
    start = f"ray start --head --port={GCS_PORT} --dashboard-host=0.0.0.0"
    return f"{start} --num-cpus=0" if groups is None else f"{start}{_labels(groups)}"


def _labels(groups: Sequence[str]) -> str:
    pairs = [f"{key}={value}" for group in groups for key, value in selector(group).items()]
    return f" --labels={','.join(pairs)}" if pairs else ""


def _remote_keys(blend: BlendConfig) -> list[str]:
    names = (getattr(component, "api_key_env", None) for component in blend.components)
    return list(dict.fromkeys(name for name in names if name))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the commands; returns the exit status: 2 for mistakes."""
    parser = argparse.ArgumentParser(prog="python -m cluster.hosts", description=__doc__)
    parser.add_argument("blend", help="a preset's name, or a file")
    parser.add_argument("--head", required=True, help="the host that all others can reach")
    parser.add_argument("--host", action="append", default=[], metavar="HOST=GROUP,…")
    options = parser.parse_args(arguments)
    given = (text.partition("=") for text in options.host)
    hosts = {host: [g for g in groups.split(",") if g] for host, _, groups in given}
    try:
        print(script(options.blend, options.head, hosts))
    except BlendedError as exc:
        print(exc, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
