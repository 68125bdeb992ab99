"""Facts as data: prices, server types, version tables, each with its source.

The one package that both the product and the lab may read.
It reads nothing but its own files and decides nothing.
"""
