import hashlib
import ssl
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from functions.shared.aws.amazon_roots import trusting_amazon, trusting_the_system

# "SHA-256 Hash of Subject Public Key Information" at https://www.amazontrust.com/repository/
PUBLISHED = {
    "Amazon Root CA 1": "fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2",
    "Amazon Root CA 2": "7f4296fc5b6a4e3b35d3c369623e364ab1af381d8fa7121533c9d6c633ea2461",
    "Amazon Root CA 3": "36abc32656acfc645c61b71613c4bf21c787f5cabbee48348d58597803d7abc9",
    "Amazon Root CA 4": "f7ecded5c66047d28ed6466b543c40e0743abe81d109254dcf845d4c2c7853c5",
    "Starfield Services Root Certificate Authority - G2": (
        "2b071c59a0a0ae76b0eadb2bad23bad4580b69c3601b630c2eaf0613afa83f92"
    ),
}


def common_name(name: x509.Name) -> object:
    return name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")  # Starfield's is 0
def test_the_authorities_are_the_five_whose_keys_amazon_publishes() -> None:
    trusted = [x509.load_der_x509_certificate(each) for each in trusting_amazon().get_ca_certs(binary_form=True)]
    keys = {
        common_name(each.subject): each.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for each in trusted
    }
    assert {name: hashlib.sha256(key).hexdigest() for name, key in keys.items()} == PUBLISHED
    for each in trusted:
        each.verify_directly_issued_by(each)


@pytest.mark.parametrize("trusting", [trusting_amazon, trusting_the_system])
def test_names_are_checked_and_old_protocols_refused(trusting: Callable[[], ssl.SSLContext]) -> None:
    context = trusting()
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
