"""The interoperability tests: `install` gets the software, `matrix` says what runs with what, `jobs` does it, `main` reports."""
