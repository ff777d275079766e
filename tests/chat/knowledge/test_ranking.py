"""Meaning first, shared wording second."""

import numpy as np
import pytest

from chat.knowledge.ranking import GramWeights, blend, grams, scores
from chat.types import Passage


def passage(text: str, *headings: str) -> Passage:
    return Passage(document="d", title="Fees", heading_path=headings, text=text)


PASSAGES = [passage("Delivery takes three days."), passage("Refunds take five days."), passage("Days off.")]
WEIGHTS = GramWeights(PASSAGES)


def test_other_forms_of_a_word_share_its_wording() -> None:
    shares = WEIGHTS.shares("When was it refunded?", PASSAGES)
    assert shares[1] > shares[0]


def test_rare_wording_tells_more_than_common_wording() -> None:
    shares = WEIGHTS.shares("refunds days", PASSAGES)
    assert shares[1] == pytest.approx(1.0)
    assert shares[0] < 0.5


def test_shares_count_the_title_and_headings() -> None:
    assert GramWeights(PASSAGES).shares("fees", [passage("Nothing.")])[0] == pytest.approx(1.0)


def test_a_question_without_words_shares_nothing() -> None:
    assert WEIGHTS.shares("?!", PASSAGES).tolist() == [0.0, 0.0, 0.0]


def test_short_words_are_grams_too() -> None:
    assert grams("UK a") == {"^uk$", "^a$"}


def test_scores_lie_between_0_and_1() -> None:
    vectors = np.array([[1, 0], [-1, 0], [0.6, 0.8]], dtype=np.float32)
    found = scores(
        question="Delivery takes three days",
        vector=vectors[0],
        candidates=PASSAGES,
        vectors=vectors,
        weights=WEIGHTS,
    )
    assert found[0] == pytest.approx(1.0)
    assert found[1] == 0.0
    assert 0 < found[2] < 1


def test_blended_vectors_have_unit_norm_and_lean_to_the_text() -> None:
    mixed = blend(np.array([[1, 0]], dtype=np.float32), np.array([[0, 1]], dtype=np.float32))
    assert np.linalg.norm(mixed) == pytest.approx(1.0)
    assert mixed[0, 0] > mixed[0, 1] > 0
