"""Secrets and signatures of Standard Webhooks (`v1`: HMAC-SHA256 over id, time and body)."""

import hashlib
import hmac
import secrets
from base64 import b64encode
from collections.abc import Sequence

PREFIX = "whsec_"
SECRET_BYTES = 32
"""The standard asks for 24 to 64 random bytes."""


def new_secret() -> bytes:
    """Return the random bytes of a new secret."""
    return secrets.token_bytes(SECRET_BYTES)


def shown(secret: bytes) -> str:
    """Return a secret as its owner gets to see it, once."""
    return PREFIX + b64encode(secret).decode()


def signature(secret: bytes, message_id: str, sent_s: int, body: bytes) -> str:
    """Return the signature of one attempt at `sent_s`, whole seconds since 1970."""
    signed = b"%s.%d.%s" % (message_id.encode(), sent_s, body)
    return "v1," + b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def headers(live: Sequence[bytes], message_id: str, sent_s: int, body: bytes) -> dict[str, str]:
    """Return the headers of one attempt, signed with every secret that is live, the newest first.

    The receiver accepts any signature it can verify, so a secret can change without a gap.
    """
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(sent_s),
        "webhook-signature": " ".join(
            signature(secret, message_id, sent_s, body) for secret in live
        ),
    }
