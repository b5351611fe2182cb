"""The bench: how fast the sync is on a real Odoo, beside other tools doing the same work on the same server.

``scenarios.py`` says what is measured; ``stand.py`` gives it clean databases, ``shop.py`` its rows; ``ours.py`` and
``worker.py`` run our side, ``peer.py`` and ``plain.py`` the others; ``results.py`` is what comes out. Nothing here is
used by a sync. Numbers for people are in ``docs/benchmarks.md``, taken from real runs.
"""
