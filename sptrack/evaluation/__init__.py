"""Prediction compared with simulation: certificates, bounds, budgets, rates of convergence, validity."""
