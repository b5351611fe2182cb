"""Source connectors for shops, behind one small protocol.

The contract a shop fulfils is in ``contract.py``, the protocol in ``source.py``, its SQL implementation in ``sql.py``,
the sample shop in ``sample``. Nothing is imported here: who needs the contract need not load
the sample generator.
"""
