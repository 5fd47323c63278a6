"""Training: parallel and retrieval data, losses, one module per method, recipes. Only losses, samplers and schedules are ours."""
