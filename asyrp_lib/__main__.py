"""`python -m asyrp_lib`: what the notebooks do, headless."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
