"""Runnable comparisons; each prints one table with ratios from one run. See README.md."""
