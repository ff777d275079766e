"""The most gullible of language models: it does what any text tells it that it is sent."""

from collections.abc import Iterator, Mapping

from tests.fakes.llm_script import Obey


def ordered_by(obey: Obey, stage: str, data: object) -> Mapping[str, object] | None:
    """Return what a text in `data` orders the stage to answer, None where none does."""
    read = " \n ".join(texts_in(data)).casefold()
    for order in obey.orders:
        if order.sign in read and stage in order.verdicts:
            return order.verdicts[stage]
    return None


def texts_in(value: object) -> Iterator[str]:
    """Yield all texts in a plain JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)
