"""The network that routing prices and dates come from: zones, lanes, tariffs and calendars."""
