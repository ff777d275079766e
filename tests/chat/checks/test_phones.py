"""Which telephone numbers of a reply stand nowhere, and which numbers are none."""

import pytest

from chat.checks.figures import unsupported_figures
from chat.checks.phones import phones, unsupported_phones
from chat.types import Passage


def passage(text: str) -> Passage:
    return Passage(document="contact", title="Contact", heading_path=("Calling us",), text=text)


SHOP = passage(
    "Call 020 7946 0123 or 0800 946 7946 from 9-17. Complaints: 01632 960 960 ext. 5. "
    "Text STOP to 84433. Since 2019 you have 30 days."
)
ABROAD = passage(
    "Paris 01 42 68 53 00, Madrid: 912 345 678, Boston (212) 555-0123, Berlin +49 30 901820, "
    "Tokyo +81 3-1234-5678, Copenhagen: tel. 70 20 30 40, Rome +39 06 6982 0123."
)


def objections(reply: str, text: Passage) -> list[str]:
    """Return what the digits of a reply are objected to for, by both who look at digits."""
    return [*unsupported_phones(reply, [text]), *unsupported_figures(reply, [text], "")]


@pytest.mark.parametrize(
    "reply",
    [
        "020 7946 0123",
        "02079460123",
        "+44 20 7946 0123",
        "+442079460123",
        "+44 (0)20 7946 0123",
        "+44 (0) 20-7946-0123",
        "0044 20 7946 0123",
        "00442079460123",
        "(020) 7946-0123",
        "(020)79460123",
        "0207 946 0123",
        "020.7946.0123",
        "020/7946 0123",
        "020 - 7946 - 0123",
        "0 2 0 7 9 4 6 0 1 2 3",
        "020\u00a07946\u202f0123",
        "020\u200b7946\u200d0123",
        "020\u20117946\u20110123",
        "０２０-７９４６-０１２３",
        "٠٢٠ ٧٩٤٦ ٠١٢٣",
        "०२० ७९४६ ०१२३",
        "**020 7946 0123**",
        "Tel.:020 7946 0123.",
        "tel:+442079460123",
        "[Call us](tel:+442079460123)",
        "<a href='tel:02079460123'>Call us</a>",
        "020 7946 0123 or 0800 9467946",
        "020 7946 0123 / 0800 946 7946",
        "020 7946 0123 0800 946 7946",
        "0800 946 7946, 9-17",
        "020 7946 0123 9-17",
        "020 7946 0123 30 days",
        "01632 960960 extension 5",
        "01632 960960 x5",
        "01632 960960",
        "Text STOP to 84433.",
        "The short code to text is 84433.",
    ],
)
def test_a_number_of_the_passages_is_supported_in_any_writing(reply: str) -> None:
    assert objections(reply, SHOP) == []


@pytest.mark.parametrize(
    "reply",
    [
        "+33 1 42 68 53 00",
        "01.42.68.53.00",
        "0142685300",
        "+34 912 34 56 78",
        "Call 912345678",
        "212-555-0123",
        "+1 212 555 0123",
        "1-212-555-0123",
        "+1 (212) 555-0123",
        "030 901820",
        "030/901820",
        "0049 30 90 18 20",
        "011 49 30 901820",
        "03-1234-5678",
        "+81312345678",
        "Ring 70203040",
        "+45 70 20 30 40",
        "06 6982 0123",
    ],
)
def test_a_number_is_the_same_with_its_country_and_without(reply: str) -> None:
    assert objections(reply, ABROAD) == []


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        ("Call 0800 7946 0123.", "0800 7946 0123"),
        ("Call 020 7946 0800.", "020 7946 0800"),
        ("0123 7946 020", "0123 7946 020"),
        ("02079460124", "02079460124"),
        ("+44 20 7946 0124", "+44 20 7946 0124"),
        ("+49 20 7946 0123", "+49 20 7946 0123"),
        ("+252 20 7946 0123", "+252 20 7946 0123"),
        ("+1 207 946 0123", "+1 207 946 0123"),
        ("0044 800 7946 0123", "0044 800 7946 0123"),
        ("(0800) 7946-0123", "(0800) 7946-0123"),
        ("0800\u200b7946\u00a00123", "08007946 0123"),
        ("０８００ ７９４６ ０１２３", "0800 7946 0123"),
        ("[020 7946 0123](tel:08007946012)", "08007946012"),
        ("020 7946 0123 ext. 7", "020 7946 0123 ext. 7"),
        ("01632 960960 ext. 6", "01632 960960 ext. 6"),
        ("020 7946 012", "020 7946 012"),
        ("Dial 999.", "999"),
        ("Call us free on 101", "101"),
        ("Text STOP to 84434", "84434"),
        ("Dial 946", "946"),
        ("020 7946 0123 / 0800 7946 0123", "0800 7946 0123"),
        ("0800**7946**0123", "080079460123"),
        ("0800&nbsp;7946&#32;0123", "0800 7946 0123"),
        ("WhatsApp +44 7700 900123", "+44 7700 900123"),
        ("Call 946 0800 7946", "946 0800 7946"),
        ("212-555-0199", "212-555-0199"),
        ("+33 1 42 68 53 00", "+33 1 42 68 53 00"),
        ("Telefon 912 345 678", "912 345 678"),
    ],
)
def test_a_number_that_stands_nowhere_is_objected_to(reply: str, named: str) -> None:
    assert unsupported_phones(reply, [SHOP]) == [f"The phone number '{named}' is not in the passages."]


@pytest.mark.parametrize(
    "reply",
    [
        "You have 30 days.",
        "Since 2019, until 2025-01-02.",
        "01/02/2025, 01.02.2025 or 01-02-25",
        "01/02/2025 - 03/04/2025",
        "We open 9-17, 09:00-17:00, 08.00-17.00 or 0800-1700.",
        "It costs £1,250.00 or $0999.95, or 0,95 €.",
        "Between 30-60 and 1000-2000 pieces.",
        "Order 0123456789, invoice no. 0123456789, reference: 0123456789, #0123456789.",
        "Your order, 0123 456 789, is on its way.",
        "ISBN 978-0-306-40615-7, 0-306-40615-2",
        "VAT number GB 0123 4567 89, company number 01234567",
        "4111 1111 1111 1111, 4111-0111-1111-1111, 4111011111111111",
        "Sort code 04-00-04, account 01234567",
        "IBAN DE89 3704 0044 0532 0130 00",
        "SW1A 1AA, 10115 Berlin, 75008 Paris, 02139",
        "0.12345678 of it; version 1.10.0",
        "Call us within 14 days, or 365 days.",
        "Calls cost 100 pence. Call 24 hours before.",
        "SKU AB-0123456789 and AB0123456789",
        "Sizes 36, 38, 40 and 42; 1 234 567 customers",
        "+30 days",
    ],
)
def test_dates_amounts_and_identifiers_are_no_phone_numbers(reply: str) -> None:
    assert list(phones(reply)) == []


def test_a_customers_own_number_supports_nothing() -> None:
    question = "Is it 0900 123 4567?"
    assert unsupported_phones("Yes, call 0900 123 4567.", [SHOP]) != []
    assert unsupported_figures("Yes, call 0900 123 4567.", [SHOP], question) == []


def test_a_customers_order_number_may_be_told_to_him() -> None:
    reply = "Your order 0123456789 is on its way."
    assert unsupported_phones(reply, [SHOP]) == []
    assert unsupported_figures(reply, [SHOP], "Where is order 0123456789?") == []


def test_the_digits_of_a_phone_number_support_no_figure() -> None:
    assert unsupported_figures("Your code is 7946.", [SHOP], "") == ["'7946' is not in the passages."]


def test_a_heading_supports_a_number() -> None:
    heading = Passage(document="a", title="Contact", heading_path=("Call 020 7946 0123",), text="Any day.")
    assert unsupported_phones("Call 02079460123", [heading]) == []


def test_a_number_is_named_once() -> None:
    assert len(unsupported_phones("0900 123456, yes, 0900 123456", [SHOP])) == 1


def test_a_long_text_of_digits_takes_no_time() -> None:
    for text in ("1 " * 2_000, "1" * 4_000, "0 " * 2_000, "+1-" * 1_500, "(0) " * 1_000):
        assert unsupported_phones("020 7946 0123", [passage(text)]) != []
