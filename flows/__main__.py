"""``python -m flows``: the command line."""

from flows.command import main

if __name__ == "__main__":
    main()
