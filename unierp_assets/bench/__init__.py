"""The bench: how fast the sync is on a real Odoo, beside other tools doing the same work on the same server.

``scenarios.py`` names what is measured; ``loads.py``, ``changes.py`` and ``orders.py`` measure it. ``stand.py`` gives
clean databases, ``shop.py`` rows; ``ours.py`` and ``worker.py`` run our side, ``peers.py``, ``plain.py`` and
``limit.py`` the others; ``results.py`` is what comes out, ``page.py`` writes it into ``docs/benchmarks.md``. Nothing
here is used by a sync.
"""
