"""Gets the program and an initialised database of Odoo ready: ``python get_ready.py VERSION``.

In a process of its own: it goes on beside tests that change the environment of theirs.
"""

import sys
from typing import cast

from unierp_assets.lab.cache import Cache, default_cache
from unierp_assets.lab.odoo import OdooVersion, Program, Template, prepare_program, prepare_template
from unierp_assets.lab.progress import PlainReporter


def get_ready(version: OdooVersion) -> tuple[Program, Template]:
    """Both, from the user's cache where they are there; tells on standard error how far it is."""
    cache, progress = Cache(default_cache()), PlainReporter(sys.stderr)
    program = prepare_program(version, cache, progress)
    return program, prepare_template(program, cache, progress)


if __name__ == "__main__":
    get_ready(cast(OdooVersion, sys.argv[1]))
