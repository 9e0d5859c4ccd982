"""Where a deployment's journal is: from its configuration and the environment of its machine."""

from collections.abc import Mapping
from pathlib import Path

from blended import config
from blended.errors import ConfigError
from blended.folders import state_dir
from blended.journal.identity import SECRET_ENV, Identity
from blended.journal.journal import Journal
from blended.journal.spool import Spool
from blended.journal.store import Store

URL_ENV = "BLENDED_JOURNAL_URL"
_DAY_S = 86_400.0


def open_journal(settings: config.Journal, environ: Mapping[str, str]) -> Journal | None:
    """A router replica's journal with its threads running; None if the blend keeps no journal.

    Raises:
        ConfigError: the secret is not in the environment.
    """
    if not settings.enabled:
        return None
    content = settings.content
    folder = settings.spool.folder
    return Journal(
        Spool(Path(folder) if folder else state_dir() / "spool", settings.spool.max_bytes),
        open_store(environ),
        open_identity(environ),
        keep_content=content is not None,
        retention_s=_seconds(settings.retention_days),
        content_retention_s=_seconds(content.retention_days if content else None),
    )


def open_store(environ: Mapping[str, str], url: str | None = None) -> Store:
    """The journal's database: `url`, else the environment's, else this user's own file."""
    return Store(url or environ.get(URL_ENV) or f"sqlite:///{state_dir() / 'journal.db'}")


def open_identity(environ: Mapping[str, str]) -> Identity:
    """The hashes and signatures of this deployment.

    Raises:
        ConfigError: the secret is not in the environment.
    """
    secret = environ.get(SECRET_ENV)
    if not secret:
        raise ConfigError(
            f"The journal needs a secret in the environment variable {SECRET_ENV} of the router, "
            "which is not set. Set it to the same random text on all nodes before Ray starts and "
            "keep it for good, because users are known by it; or keep no journal with "
            "'journal: {enabled: false}'."
        )
    return Identity(secret)


def _seconds(days: float | None) -> float | None:
    return None if days is None else days * _DAY_S
