"""The documentation: pages in Markdown, and :mod:`docs.pages`, which writes the others."""
