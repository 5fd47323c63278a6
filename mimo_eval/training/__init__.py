"""Training: parallel and retrieval data, losses, one module per method, recipes; only losses, samplers, schedules are ours."""
