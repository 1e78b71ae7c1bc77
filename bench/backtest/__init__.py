"""Policy backtests at the size of a week's history: recorded quickly, judged by the real verb."""
