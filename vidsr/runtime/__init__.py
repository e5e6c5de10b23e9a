"""How a network runs, and the tensor arithmetic around it. Imports torch, never av."""
