"""Dashboard, alert rules, and the queries on a blend's metrics that both are made of."""
