import pytest

from harness.errors import ServiceError
from harness.service.server import Address


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_token(host):
    Address(host).check()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "hospital.example", "127.0.0.1.example"])  # noqa: S104
def test_others_do_not_reach_it_without_one(host, tmp_path):
    with pytest.raises(ServiceError, match="others can reach"):
        Address(host).check()
    Address(host, token="t" * 32).check()
    pem = tmp_path / "x.pem"
    pem.write_text("x")
    with pytest.raises(ServiceError, match="others can reach"):
        Address(host, certificate=pem, key=pem).check()
    Address(host, certificate=pem, key=pem, client_authority=pem).check()


def test_halves(tmp_path):
    pem = tmp_path / "x.pem"
    pem.write_text("x")
    for address, told in (
        (Address(certificate=pem), "both"),
        (Address(key=pem), "both"),
        (Address(client_authority=pem), "needs --tls-certificate"),
        (Address(certificate=pem, key=tmp_path / "none"), "no such file"),
    ):
        with pytest.raises(ServiceError, match=told):
            address.check()
