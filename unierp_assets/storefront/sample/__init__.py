"""The sample shop: realistic, dirty on purpose, and the same every time.

``make_sample`` makes it, ``write_sample`` puts it into a database, ``RULES`` says what is wrong in it.
"""

from unierp_assets.storefront.sample.faults import RULES, Fault, Outcome, Rule
from unierp_assets.storefront.sample.model import Counts, Sample, make_sample
from unierp_assets.storefront.sample.pools import REFERENCE
from unierp_assets.storefront.sample.store import FAULTS_TABLE, SampleError, write_sample

__all__ = [
    "FAULTS_TABLE",
    "REFERENCE",
    "RULES",
    "Counts",
    "Fault",
    "Outcome",
    "Rule",
    "Sample",
    "SampleError",
    "make_sample",
    "write_sample",
]
