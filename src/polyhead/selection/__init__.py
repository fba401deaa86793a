"""From scores to a choice: orders of heads, the search for k, and the quality of orders and gains.

Uses scores from any source, so it does not import `importance`.
Imports `core`, `data`, `models` and `learning`.
"""
