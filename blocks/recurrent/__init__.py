"""Recurrent layers: what is remembered is changed by each token in turn."""
