"""The pure rules of the front door: which path leads where, and what a journey is made of."""
