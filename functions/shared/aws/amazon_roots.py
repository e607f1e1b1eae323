"""Whose word is taken for who a server is.

The certificates of AWS's services come from five authorities, which are in amazon_roots.pem:
https://www.amazontrust.com/repository/ recommends them to whoever keeps a list of their own. The system trusts some
140; to load those takes 18 milliseconds of the processor's time in every cold start, and to load these 2.
"""

import ssl
from functools import cache


@cache
def trusting_amazon() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=f"{__file__.rpartition('.')[0]}.pem")


@cache
def trusting_the_system() -> ssl.SSLContext:
    """Also what SSL_CERT_FILE or SSL_CERT_DIR names, if they were set when it was asked for first."""
    return ssl.create_default_context()
