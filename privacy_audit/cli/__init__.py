"""The command line `privacy-audit`, one file per command."""
