"""Keeps a storefront, TOTTER and UniERP (Odoo) in agreement, as Dagster assets.

This module stays empty: importing the package must cost nothing.
"""
