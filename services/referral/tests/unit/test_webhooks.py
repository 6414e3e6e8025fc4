"""Signatures as others compute them, addresses that may be called, and how long is waited after failures."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorstep.referral.domain.webhooks import LONGEST_WAIT, address_of, is_public, shown_secret, signatures, wait


def test_a_signature_is_the_one_of_the_specification() -> None:
    """The message with which libraries of Standard Webhooks test themselves."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signatures([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signatures([secret, b"old"], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}').startswith(
        f"{signed} v1,"
    )
    assert shown_secret(secret) == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.0.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1",
        "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "2002:7f00:1::",
        "2002:a00:1::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:db8::1", "", "not an address", "localhost",
    ],
)  # fmt: skip
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_of_the_public_network_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "http://example.com/", "ftp://example.com/", "https://", "https:///path", "https://u@example.com/",
        "https://u:p@example.com/", "https://example.com/#x", "https://127.0.0.1/", "https://[::1]/", "https://10.1.1.1:8443/",
        "https://[::ffff:127.0.0.1]/", "https://example.com:99999/", "https://exa mple.com/", "https://example.com\\@x/",
        "https://exämple.com/", "https://example.com/\n", "https://[::1", "file:///etc/passwd", "//example.com/",
        "https://2130706433/", "https://127.1/", "https://127.0.1/", "https://0x7f000001/", "https://0X7F.1/", "https://0177.0.0.1/",
        "https://017700000001/", "https://0x7f.0.0.0x1/", "https://127.0.0.1./", "https://0x/", "https://8.8.8.08/",
        "https://134744072/", "https://10.0.0.1.:8443/", "https://%31%32%37.0.0.1/", "https://localhost%2e/",
        "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/", "https://[fe80::1%25eth0]/",
    ],
)  # fmt: skip
def test_a_url_that_leads_elsewhere_than_to_a_public_https_address_is_none(url: str) -> None:
    assert address_of(url, inside=False) is None


def test_public_urls_are_taken_and_inner_ones_only_where_it_is_said() -> None:
    for url in (
        "https://example.com/feed?x=1", "https://example.com:8443/", "https://1.1.1.1/", "HTTPS://EXAMPLE.com",
        "https://12345.example/", "https://0x7f.example.com/", "https://4.cn/", "https://[2606:4700::1111]/",
    ):  # fmt: skip
        found = address_of(url, inside=False)
        assert found is not None
        assert found.url == url
    assert address_of("http://127.0.0.1:1/", inside=True) is not None


@given(st.text("htps:/.@#[]\\ \t1%xé", max_size=40).map("https:".__add__))
def test_whatever_is_sent_as_a_url_is_an_address_or_none(text: str) -> None:
    found = address_of(text, inside=False)
    assert found is None or found.url.lower().startswith("https://")


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_waits_grow_to_an_hour_and_are_never_shorter_than_half(failures: int, chance: float) -> None:
    whole = wait(failures, 5.0, 0)
    assert whole / 2 <= wait(failures, 5.0, chance) <= whole <= LONGEST_WAIT
    assert wait(failures + 1, 5.0, 0) >= whole
