"""What tools/generate.py makes of the commands."""
