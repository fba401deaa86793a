"""From scores to a choice: orders of heads, the search for k, and how good an order or a gain is.

Knows scores, not how they were made: nothing of `importance` is used here.
Imports `core`, `data`, `models` and `learning`.
"""
