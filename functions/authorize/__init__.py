"""PyJWT imports X.509 for keys given as certificates. Ours are not, so it is loaded when it is used, which is never: a
user is waiting while this function starts.

https://docs.python.org/3/library/importlib.html#implementing-lazy-imports
"""

import importlib.util
import sys


def _load_when_used(name: str) -> None:
    spec = importlib.util.find_spec(name)
    if name in sys.modules or spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    parent, _, attribute = name.rpartition(".")
    setattr(sys.modules[parent], attribute, module)


_load_when_used("cryptography.x509")
