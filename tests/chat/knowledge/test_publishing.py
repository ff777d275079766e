"""Documents, revision and clock change together."""

import pytest

from cachemgmt.models import Clock
from chat.errors import IndexUnavailable
from chat.knowledge import publishing
from chat.knowledge.embedders import HashedWordsEmbedder
from chat.knowledge.index import Index
from chat.knowledge.publishing import Publication, publish, revision_of
from chat.models import Collection, Document, StoredVector
from tests.chat.knowledge.conftest import document, found, put


def clock() -> int:
    return Clock.objects.values_list("number", flat=True).first() or 0


def keys(collection: Collection) -> list[str]:
    return sorted(Document.objects.filter(collection=collection).values_list("key", flat=True))


def revision_now(collection: Collection) -> str:
    """Return the revision that the collection's documents would be published as now."""
    documents = Document.objects.filter(collection=collection).fingerprints()
    return revision_of(documents, embedder_id=HashedWordsEmbedder().id)


def test_publishing_says_what_it_did(shop: Collection) -> None:
    put(shop, "coffee", "tea")
    done = put(shop, "coffee", document("tea", "Other text."), "cocoa")
    assert (done.added, done.updated, done.unchanged) == (("cocoa",), ("tea",), ("coffee",))
    assert done.revision == shop.revision != ""
    assert shop.published_at is not None


def test_nothing_is_published_if_nothing_changed(shop: Collection) -> None:
    put(shop, "coffee")
    published_at, before = shop.published_at, clock()
    done = put(shop, "coffee")
    assert done.built is None
    assert (shop.published_at, clock()) == (published_at, before)


def test_publishing_advances_the_clock(shop: Collection) -> None:
    before = clock()
    put(shop, "coffee")
    assert clock() == before + 1


def test_a_new_title_alone_is_a_change(shop: Collection) -> None:
    put(shop, document("tea", "Text.", title="Tea"))
    assert put(shop, document("tea", "Text.", title="Teas")).updated == ("tea",)
    assert Document.objects.get().title == "Teas"


def test_only_new_texts_are_embedded(shop: Collection) -> None:
    first = put(shop, "coffee", "tea")
    second = put(shop, "cocoa")
    assert first.built is not None
    assert second.built is not None
    assert (first.built.n_embedded, second.built.n_embedded) == (4, 2)
    assert StoredVector.objects.count() == 6


def test_removed_documents_are_found_no_more(shop: Collection, index: Index) -> None:
    put(shop, "coffee", "tea")
    done = publish(shop, [], removed=["tea", "never-there"])
    assert done.removed == ("tea",)
    assert keys(shop) == ["coffee"]
    assert found(index, shop, "tea") == ["coffee"]


def test_a_complete_list_removes_what_is_not_in_it(shop: Collection) -> None:
    put(shop, "coffee", "tea")
    done = publish(shop, [document("tea")], is_complete=True)
    assert (done.removed, done.unchanged) == (("coffee",), ("tea",))


def test_a_collection_can_be_emptied(shop: Collection, index: Index) -> None:
    put(shop, "coffee")
    assert publish(shop, [], is_complete=True).revision == ""
    assert (shop.revision, shop.published_at) == ("", None)
    assert found(index, shop, "coffee") == []


def test_equal_policies_have_equal_revisions_whatever_way_they_came(shop: Collection) -> None:
    other = Collection.objects.create(slug="other", name="Other")
    put(shop, "coffee", "tea")
    put(other, "cocoa")
    put(other, document("tea", "Old."))
    put(other, "tea", "coffee")
    publish(other, [], removed=["cocoa"])
    assert shop.revision == other.revision == revision_now(shop)


def test_another_embedder_makes_another_revision(shop: Collection) -> None:
    class OtherEmbedder(HashedWordsEmbedder):
        id = "other"

    first = put(shop, "coffee").revision
    assert publish(shop, [document("coffee")], embedder=OtherEmbedder()).revision != first


def test_nothing_changes_if_the_index_fails(shop: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    put(shop, "coffee")
    revision, before = shop.revision, clock()

    def fail(*args: object, **kwargs: object) -> None:
        raise IndexUnavailable

    monkeypatch.setattr(Index, "build", fail)
    with pytest.raises(IndexUnavailable):
        put(shop, "tea")
    shop.refresh_from_db()
    assert (shop.revision, clock(), keys(shop)) == (revision, before, ["coffee"])


def test_the_old_revision_serves_until_the_new_one_is_whole(
    shop: Collection, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(shop, "coffee")
    old = shop.revision
    seen: list[tuple[str, list[str]]] = []
    build = Index.build

    def look_then_build(self: Index, **kwargs: object) -> object:
        built = build(self, **kwargs)  # type: ignore[arg-type]
        seen.append((Collection.objects.get().revision, found(index, shop, "coffee")))
        return built

    monkeypatch.setattr(Index, "build", look_then_build)
    put(shop, "tea")
    assert seen == [(old, ["coffee"])]


def test_who_publishes_second_begins_anew_on_what_the_first_left(
    shop: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(shop, "coffee")
    switch = publishing._switch
    calls: list[str] = []

    def another_is_faster(collection: Collection, **kwargs: object) -> bool:
        calls.append(collection.slug)
        if len(calls) == 1:
            put(Collection.objects.get(), "cocoa")
        return switch(collection, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(publishing, "_switch", another_is_faster)
    done = put(shop, "tea")
    assert keys(shop) == ["cocoa", "coffee", "tea"]
    assert done.revision == shop.revision == revision_now(shop)
    assert len(calls) == 3


def test_a_publication_reads_as_a_summary(shop: Collection) -> None:
    done = put(shop, "coffee")
    assert (
        str(done) == f"1 added, 0 unchanged, 1 passages, 2 vectors newly embedded, revision {done.revision}"
    )
    assert str(Publication(revision="")) == "0 unchanged, revision none"
