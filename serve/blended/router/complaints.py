"""A member's complaint as a client may see it: no secrets, nothing about the member's account.

Members are remote APIs. Their error messages may quote the key of the request, or mention the
credit of an account that is not the client's. Pure functions.
"""

import re
from collections.abc import Iterable

REMOVED = "[removed]"

# Keys of the well-known APIs, also with a masked middle; authorization headers; passwords in
# addresses; keys in queries.
_SECRETS = re.compile(
    r"""
      \b(?:sk|pk|rk|gsk|xai|hf|ghp|key|pplx|nvapi|tok|AKIA|AIza|eyJ)[-_.]?
        (?=[\w*.•-]*[\d*•])[\w*.•-]{8,}
    | (?<=://)[^\s/@:]+:[^\s/@]+(?=@)
    | \b(?:bearer|basic)\s+[^\s"',;]{4,}
    | (?i:\b(?:api[-_ ]?key|access[-_ ]?token|token|secret|password)\b["']?\s*[=:]\s*["']?)
        [^\s"',;&]{4,}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_ACCOUNT = re.compile(
    r"""
      \b(?:billing|invoice|payment|prepaid|insufficient[ _](?:quota|funds|balance|credits?)
        |out\ of\ credits?|credit\ (?:balance|limit|card)|account\ (?:balance|limit)|spending
        |(?:exceeded|over)\ (?:your|the)\ (?:current\ )?(?:quota|usage\ limit)|subscription
        |(?:your|this|the)\ (?:account|organi[sz]ation|workspace|plan|free\ (?:tier|trial))
        |upgrade\ (?:your|to)|free\ tier|api[ _-]?key|access\ token|credentials?)\b
    | \b(?:org|proj|acct)[-_][\w-]{6,}
    """,
    re.VERBOSE | re.IGNORECASE,
)


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text without `secrets`, and without anything that looks like a key or a token."""
    known = sorted(filter(None, secrets), key=len, reverse=True)
    for secret in known:
        text = text.replace(secret, REMOVED)
    return _SECRETS.sub(REMOVED, text)


def is_about_account(text: str) -> bool:
    """Whether a text mentions billing, keys or the account, which only concern the operator."""
    return _ACCOUNT.search(text) is not None


def own_sentence(model: str) -> str:
    """The message that replaces a text about an account."""
    return (
        f"A component of the model '{model}' refused this request for a reason that its operator "
        "has to settle; try again, or tell the operator."
    )
