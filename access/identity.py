"""Customers that are vouched for by a signature: HMAC-SHA256 over the customer's id.

The signing secret belongs to an API key and is derived from SECRET_KEY, so that it is kept nowhere. It is
told together with the key, once.
"""

import hashlib
import hmac

from django.utils.crypto import salted_hmac

SALT = "access.identity"


def signing_secret(key_id: str) -> str:
    """Return the secret with which the key's owner signs his customers' ids: 64 hex digits."""
    return salted_hmac(SALT, key_id, algorithm="sha256").hexdigest()


def signature_of(customer_id: str, *, secret: str) -> str:
    """Return the signature of a customer's id: 64 hex digits."""
    return hmac.new(secret.encode(), customer_id.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def is_signed(customer_id: str, signature: str, *, key_id: str) -> bool:
    """Whether the owner of the key signed this customer's id. Takes as long for a wrong one."""
    right = signature_of(customer_id, secret=signing_secret(key_id))
    return hmac.compare_digest(right.encode(), signature.lower().encode("utf-8", "surrogatepass"))
