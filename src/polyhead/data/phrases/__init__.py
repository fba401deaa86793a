"""Sentences that this project makes itself: travel and daily-life requests, parallel in nine languages, with gold labels."""
