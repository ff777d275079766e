"""Whether a question may be asked by its caller, now and once more when the clock has been read."""

from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from rest_framework.request import Request

from access.authentication import caller_for, identity_of, require_right
from access.caller import Caller
from access.errors import Refused
from access.identity import is_signed
from access.limits import CallAllowance
from access.origins import foreign_origin, origins_by_collection
from cachemgmt.api import Directives, known, learn


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What a request asks for, as far as it takes a right. None where it does not say."""

    collection: str | None = None
    customer_id: str | None = None
    customer_signature: str | None = None
    directives: Directives = field(default_factory=Directives)


class Admission:
    """One admitted question: what it may ask, and the caller's share of calls to the language model.

    What is said of the caller here is as of when he was found. Whatever has changed since, however long the
    body was in coming, `confirm` minds.
    """

    def __init__(self, request: Request, wish: Wish) -> None:
        """Raises Refused, naming what was sent, where the caller may not ask this."""
        self._found = identity_of(request)
        self._origin = foreign_origin(request)
        self._wish = wish
        self.caller = self._found.caller
        self.collection, self.customer_id, self.directives = self._checked(self.caller)
        # From now on it is about what was admitted, whatever would be meant by the same words later.
        self._wish = replace(wish, collection=self.collection)
        self._allowance = CallAllowance(self.caller)

    def confirm(self, *, reread: bool = False) -> None:
        """Raise NotAuthenticated or Refused if the right was withdrawn, as of the clock that has been read
        since, or has run out; `reread` where none was. Costs nothing where nothing has changed."""
        if reread:
            learn()
        if known() is not self._found.known or self.caller.is_over():
            caller = caller_for(self._found.header, address=self._found.address)
            require_right(caller, "ask")
            self._checked(caller)

    def begin_calls(self) -> float | None:
        """Take a call to the language model ahead; or return the seconds to wait."""
        return self._allowance.begin()

    def end_calls(self, n_calls: int) -> None:
        """Say how many calls it became."""
        self._allowance.end(n_calls)

    def _checked(self, caller: Caller) -> tuple[str, str | None, Directives]:
        collection = self._wish.collection or _own_collection(caller)
        if not caller.may_ask_of(collection):
            whose = "This session" if caller.is_session else f"The key “{caller.name}”"
            raise Refused(f"{whose} is not for this collection", "not-allowed", field="collection")
        if self._origin is not None:
            _check_origin(self._origin, collection, caller)
        return collection, self._customer(caller), self._directives(caller)

    def _customer(self, caller: Caller) -> str | None:
        wish = self._wish
        if caller.is_session:
            if wish.customer_id is not None and wish.customer_id != caller.customer_id:
                told = "This session is not this customer's"
                raise Refused(told, "customer-not-vouched-for", field="customer_id")
            return caller.customer_id
        if wish.customer_id is None or caller.may("trusted"):
            return wish.customer_id
        if wish.customer_signature is None:
            told = "The key is not trusted with customers: customer_signature is needed"
            raise Refused(told, "customer-not-vouched-for", field="customer_id")
        if not is_signed(wish.customer_id, wish.customer_signature, key_id=caller.key_id):
            told = "is not this customer_id's signature"
            raise Refused(told, "customer-not-vouched-for", field="customer_signature")
        return wish.customer_id

    def _directives(self, caller: Caller) -> Directives:
        asked = self._wish.directives
        plain = replace(asked, no_cache=False, no_store=False, max_age_s=None)
        if asked == plain or caller.may("skip_cache"):
            return asked
        if caller.is_session:  # browsers say no-cache of themselves when a page is reloaded
            return plain
        told = "The key may not have answers made anew: no-cache, no-store and max-age are not for it"
        raise Refused(told, "not-allowed", field="Cache-Control")


def _own_collection(caller: Caller) -> str:
    """Return the collection that is meant where none is named: the caller's only one, else the default."""
    if caller.collections is not None and len(caller.collections) == 1:
        return next(iter(caller.collections))
    return str(settings.DEFAULT_COLLECTION)


def _check_origin(origin: str, collection: str, caller: Caller) -> None:
    if caller.key_id and not caller.is_session:
        told = "An API key does not belong into a browser page: start a session for it (POST /api/sessions)"
        raise Refused(told, "key-in-browser", field="Authorization")
    if origin not in origins_by_collection().get(collection, frozenset()):
        told = "Pages of this origin may not ask this collection"
        raise Refused(told, "origin-not-allowed", field="Origin")


def wish_of(body: Any, directives: Directives) -> Wish:
    """Return what a checked body (its `collection`, `customer_id` and `customer_signature`) asks for."""
    return Wish(
        collection=body.collection,
        customer_id=body.customer_id,
        customer_signature=body.customer_signature,
        directives=directives,
    )
