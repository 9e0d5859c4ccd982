"""What a cluster needs beside the package: run from the root of the repository, not installed."""
