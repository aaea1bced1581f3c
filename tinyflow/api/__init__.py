"""What ``import tinyflow`` offers (docs/library.md): the stages as people script them. ``tinyflow`` itself names it.

It only joins what the command line joins, in the same run folders; it prints nothing.
"""
