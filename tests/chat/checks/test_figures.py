"""Which figures of a reply stand nowhere."""

import pytest

from chat.checks.figures import figures, unsupported_figures
from chat.types import Passage


def passage(text: str, *, title: str = "Returns", heading: str = "Time") -> Passage:
    return Passage(document="returns", title=title, heading_path=(heading,), text=text)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("You have 30 days.", "Items may be returned within 30 days."),
        ("You have thirty days.", "Items may be returned within 30 days."),
        ("You have two weeks.", "Items may be returned within 14 days."),
        ("The guarantee lasts 2 years.", "The guarantee lasts 24 months."),
        ("It takes 3 to 5 working days.", "It takes 3-5 business days."),
        ("It costs 3.95 pounds.", "It costs £3.95."),
        ("It costs €6.90.", "It costs 6,90 €."),
        ("We take off 30 percent.", "We take off up to 30%."),
        ("Above 1,000 points.", "Above 1000 points."),
        ("Until 24 December.", "Until December 24."),
        ("We open at 9 am.", "We open at 9:00."),
        ("We close at 17:30.", "We close at 5:30 pm."),
        ("Use WELCOME10.", "The code is WELCOME10."),
        ("One of our team will help you.", "Our team helps."),
        ("Parcels of 5 kg.", "Parcels of 5kg."),
        ("After a week.", "After 7 days."),
        ("In twenty-five minutes.", "In 25 minutes."),
    ],
)
def test_a_figure_that_stands_in_the_passage_is_supported(reply: str, text: str) -> None:
    assert unsupported_figures(reply, [passage(text)], "") == []


@pytest.mark.parametrize(
    ("reply", "text", "named"),
    [
        ("You have 45 days.", "Items may be returned within 30 days.", "45 days"),
        ("It costs 14 euros.", "You have 14 days.", "14 euros"),
        ("It takes 5 days.", "It takes 5 working days.", "5 days"),
        ("It takes 3 to 6 working days.", "It takes 3 to 5 working days.", "6 working days"),
        ("It costs £2.95.", "It costs £3.95.", "£2.95"),
        ("It costs $3.95.", "It costs £3.95.", "$3.95"),
        ("It takes three weeks.", "It takes 14 days.", "three weeks"),
        ("Within a month.", "Within 14 days.", "a month"),
        ("You get 50% back.", "You get your money back.", "50%"),
        ("You get half back.", "You get your money back.", "half"),
        ("Until 31 January.", "Until 24 December.", "31 january"),
        ("We open at 8 am.", "We open at 9 am.", "8 am"),
        ("Use WELCOME20.", "Use WELCOME10.", "welcome20"),
    ],
)
def test_a_figure_that_stands_nowhere_is_objected_to(reply: str, text: str, named: str) -> None:
    assert unsupported_figures(reply, [passage(text)], "") == [f"'{named}' is not in the passages."]


def test_a_figure_of_the_question_or_a_heading_is_supported() -> None:
    assert (
        unsupported_figures("45 days are too late.", [passage("Not later.")], "I have it for 45 days") == []
    )
    heading = passage("Send it back.", heading="Returns within 45 days")
    assert unsupported_figures("You have 45 days.", [heading], "") == []


def test_a_figure_is_objected_to_once() -> None:
    assert len(unsupported_figures("45 days, yes, 45 days.", [], "")) == 1


def test_a_reply_without_figures_has_none() -> None:
    assert list(figures("Refunds always go back to the payment method you used.")) == []
