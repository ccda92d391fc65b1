"""The images, built and run: not part of `make test`, as it needs a container engine."""
