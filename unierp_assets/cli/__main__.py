"""``python -m unierp_assets.cli``."""

from unierp_assets.cli import main

main()
