"""`python -m blended`: the same as `blended`."""

from blended.cli.main import main

if __name__ == "__main__":
    main()
