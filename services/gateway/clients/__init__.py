"""Ways out to people: webhooks, Slack, PagerDuty and e-mail."""
