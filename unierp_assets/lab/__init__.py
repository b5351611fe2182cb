"""Real services on one machine, without Docker and without root: PostgreSQL and Odoo.

What belongs here: getting the programs (``downloads``, ``cache``), running them (``postgres``, ``odoo``,
``processes``), remembering what runs (``state``), and the two doors for everybody else:
:class:`unierp_assets.lab.lab.Lab` (up, down, status, reset) and
:func:`unierp_assets.lab.services.resolve_services` (addresses, the user's own or the lab's).
What does not: anything about the data those services hold.
"""
