"""Generated sentences with gold labels: travel and daily-life requests, parallel in nine languages."""
