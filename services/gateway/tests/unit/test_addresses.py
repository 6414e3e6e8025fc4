"""From where a request comes: what a named proxy says is believed, what anybody may write is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.gateway.domain.addresses import caller_address, networks

PROXIES = networks("10.0.0.0/8, 2001:db8:1::/48")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.1", [], "198.51.100.1"),
        ("198.51.100.1", ["203.0.113.9"], "198.51.100.1"),  # no proxy of ours says it
        ("10.1.1.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.1.1", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),  # the left one anybody may have sent
        ("10.1.1.1", ["1.1.1.1", "203.0.113.9, 10.2.2.2"], "203.0.113.9"),
        ("10.1.1.1", ["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        ("10.1.1.1", ["203.0.113.9, unknown"], "10.1.1.1"),
        ("10.1.1.1", [""], "10.1.1.1"),
        ("::ffff:10.1.1.1", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8:1::7", ["2001:db8:2:3:4:5:6:7"], "2001:db8:2:3::/64"),
        ("2001:db8:2:3::1", [], "2001:db8:2:3::/64"),
        ("2001:db8:2:3:ffff::2", [], "2001:db8:2:3::/64"),
        ("unix", ["203.0.113.9"], "unix"),
    ],
)
def test_whose_address_counts(peer: str, forwarded: list[str], address: str) -> None:
    assert caller_address(peer, forwarded, PROXIES) == address


@given(st.lists(st.text(max_size=40), max_size=4))
def test_without_a_named_proxy_nothing_that_is_written_counts(forwarded: list[str]) -> None:
    assert caller_address("198.51.100.1", forwarded, ()) == "198.51.100.1"


@given(st.lists(st.text(max_size=40), max_size=4))
def test_whatever_stands_there_is_an_address_or_is_passed_over(forwarded: list[str]) -> None:
    assert caller_address("10.1.1.1", forwarded, PROXIES)


@pytest.mark.parametrize("listed", ["10.0.0.0/99", "proxy", "10.0.0.1/8", "*"])
def test_a_setting_that_names_no_network_is_an_error(listed: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        networks(listed)
